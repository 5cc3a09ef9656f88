//! The place of a decision in its stream, and the proof that the decision was current.
//!
//! An accepted decision is proved by its append: the store accepts it only if the stream still ends
//! with the event that the decision saw. A refusal, a conflict with the version that the caller
//! expected, and a decision without events append nothing. Before one of them is returned, it must be
//! known that the stream ended with that very event *at some time since the command began*. Then the
//! decision lacks no event whose append was answered before the command was sent, and it includes no
//! event that the store doesn't have.
//!
//! | Proof | Cost |
//! |---|---|
//! | the state was read since the command began | none |
//! | an append that builds on the state was sent since the command began, and is committed | a wait |
//! | the stream ends with that event now | a read of one event |
//!
//! The place is noted with the decision, under the lock of the state, because the state itself goes on.

use super::{
    moment::Moment,
    state_cache::{CachedState, PendingAppend, SharedState},
};
use crate::{
    Result,
    port::{EventStore, ReadFrom},
    value::{EventId, Position, StreamId, Version},
};

/// The place of a state at the time of a decision on it.
pub(super) struct DecidedOn {
    version: Version,
    head: Option<EventId>,
    position: Position,
    pending: Option<PendingAppend>,
    current_after: Moment,
}

impl DecidedOn {
    /// Notes the place of a state, which must be locked until the decision is made.
    pub(super) fn new(state: &CachedState) -> Self {
        Self {
            version: state.latest.version,
            head: state.latest.head,
            position: state.latest.position,
            pending: state.pending.clone(),
            current_after: state.current_after,
        }
    }

    /// Waits for the append that the state depends on. Returns the position of the state; `None` if
    /// that append was not committed as it was decided.
    pub(super) async fn committed(&self) -> Option<Position> {
        match &self.pending {
            None => Some(self.position),
            Some(append) => committed(append.clone()).await.map(|at| at.max(self.position)),
        }
    }

    /// Returns true if the stream ended with the last event of the decision's state at some time after
    /// this moment. The append that the state depends on must be committed.
    pub(super) async fn was_current_after(
        &self,
        began: Moment,
        state: &SharedState,
        log: &dyn EventStore,
        stream: &StreamId,
    ) -> Result<bool> {
        if self.current_after > began {
            return Ok(true);
        }
        if let Some(is_confirmed) = self.is_confirmed_by_a_later_append(state).await {
            return Ok(is_confirmed);
        }
        // A later append of this process may have been committed just before the read.
        Ok(self.ends(log, stream).await?
            || self.is_confirmed_by_a_later_append(state).await.unwrap_or(false))
    }

    /// Waits for the last append that was sent since the decision and builds on its state. It is
    /// committed only if all those between are, and the first of them only if the stream ended with the
    /// event that the decision saw. Returns `None` if there is no such append.
    async fn is_confirmed_by_a_later_append(&self, state: &SharedState) -> Option<bool> {
        let append = {
            let state = state.lock();
            if state.is_stale {
                return Some(false);
            }
            if state.current_after == self.current_after {
                return None;
            }
            state.pending.clone()
        };
        match append {
            None => Some(true),
            Some(append) => Some(committed(append).await.is_some()),
        }
    }

    /// Returns true if the stream ends with this event now: it is there, and nothing follows it. A
    /// store that has lost its last events, for example in a fail-over, doesn't have it.
    async fn ends(&self, log: &dyn EventStore, stream: &StreamId) -> Result<bool> {
        let before = Version::new(self.version.get().saturating_sub(1));
        let page = log.read_stream(stream, ReadFrom::After(before), 1).await?;
        Ok(page.next.is_none() && page.events.iter().map(|event| event.id).eq(self.head))
    }
}

/// Waits for an append. Returns its position; `None` if it was not committed as it was decided.
async fn committed(append: PendingAppend) -> Option<Position> {
    append.await.ok().filter(|appended| !appended.repeated).map(|appended| appended.position)
}
