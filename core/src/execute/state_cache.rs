//! The pipelined cache of aggregate states.
//!
//! ```text
//!  command A          command B          command C         tasks of one process, one stream
//!      │ decides on v5    │ decides on v6    │ decides on v7
//!      ▼                  ▼                  ▼
//!  ┌─ CachedState ────────────────────────────────────┐
//!  │ committed: v5                                    │    known to be in the store
//!  │ latest:    v6 ───────► v7 ───────────► v8        │    sent, not known to be committed
//!  │ pending:   A ────────► B ────────────► C         │    the append that `latest` depends on
//!  └───┬──────────────────┬──────────────────┬────────┘
//!      │ v6 after head v5 │ v7 after head v6 │ v8 after head v7
//!      ▼                  ▼                  ▼             sent under the lock, so in this order
//!  ┌─ event store ────────────────────────────────────┐
//!  │            one transaction, three outcomes       │
//!  └───┬──────────────────┬──────────────────┬────────┘
//!      ▼                  ▼                  ▼
//!   committed          conflict           conflict          B lost to another process: C expects B's
//!      │                  │                  │              event at the head, so it fails as well
//!      ▼                  ▼                  ▼
//!   receipt        discard the state,     reload: it depended on B,
//!                  decide again           and B was not committed
//! ```
//!
//! An entry holds the state of one stream as this process believes it to be, *including* events that
//! were sent to the store but are not committed yet. The next command on the stream decides on that
//! state at once, and both appends travel in one transaction. The expectation
//! [`Expected::Head`](crate::value::Expected::Head) keeps this correct: an append is accepted only if
//! the stream ends with the very event that the decision saw, so a decision on events that were never
//! stored can't be stored either. A decision that appends nothing is proved otherwise: `decided_on`.
//!
//! A discarded entry leaves its last committed state behind. The next load continues reading from
//! there instead of folding the whole stream.

use std::{
    any::{Any, TypeId},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use quick_cache::sync::Cache;

use super::{
    loaded::Loaded,
    moment::{Moment, MomentClock},
};
use crate::{
    Result,
    port::{Appended, NewEvent},
    value::{Position, StreamId, Version},
};

/// The state of an aggregate or a boundary. Only the participant that loaded it knows its type.
pub(super) type AnyState = Arc<dyn Any + Send + Sync>;

/// An append that was sent. Every command that depends on it can wait for it.
pub(super) type PendingAppend = Shared<BoxFuture<'static, Result<Appended>>>;

/// Makes the answer to an append available to several tasks.
pub(super) fn share(append: BoxFuture<'static, Result<Appended>>) -> PendingAppend {
    append.shared()
}

/// The state of one stream, with events that are still being appended.
pub(super) struct CachedState {
    /// The state with all events that were sent. Its position is that of the last event known to be
    /// committed.
    pub(super) latest: Loaded<AnyState>,
    /// The last state that is known to be committed.
    committed: Loaded<AnyState>,
    /// The append that `latest` depends on, unless that is known to be committed.
    pub(super) pending: Option<PendingAppend>,
    /// A moment after which the stream ended as `latest` has it, or will have once `pending` is
    /// committed: the moment of the read or of the last append.
    pub(super) current_after: Moment,
    /// True once the state turned out to be wrong. A command that still holds it loads again.
    pub(super) is_stale: bool,
}

impl CachedState {
    /// Creates the entry of a state that was read from the store after this moment.
    fn new(loaded: Loaded<AnyState>, read_after: Moment) -> Self {
        Self {
            latest: loaded.clone(),
            committed: loaded,
            pending: None,
            current_after: read_after,
            is_stale: false,
        }
    }

    /// Advances to the state after events that are sent after this moment.
    pub(super) fn extend(&mut self, state: AnyState, events: &[NewEvent], sent_after: Moment) {
        self.current_after = sent_after;
        let latest = &mut self.latest;
        latest.state = state;
        latest.version = latest.version.plus(events.len());
        latest.head = events.last().map(|event| event.id).or(latest.head);
        latest.bytes_since += events.iter().map(|event| event.payload.len() as u64).sum::<u64>();
    }

    /// Records that an append is committed, and the state after it.
    pub(super) fn confirm(
        &mut self,
        committed: &Loaded<AnyState>,
        position: Position,
        append: &PendingAppend,
    ) {
        self.latest.position = self.latest.position.max(position);
        if self.pending.as_ref().is_some_and(|pending| pending.ptr_eq(append)) {
            self.pending = None;
        }
        // Confirmations can arrive in another order than that of the commits.
        if committed.version > self.committed.version {
            self.committed = committed.clone();
        }
    }

    /// Records that a snapshot was taken at this version.
    pub(super) fn set_snapshot(&mut self, version: Version) {
        self.latest.snapshot = version;
        self.latest.bytes_since = 0;
    }
}

/// A cached state that tasks share.
#[derive(Clone)]
pub(super) struct SharedState(Arc<Mutex<CachedState>>);

impl SharedState {
    fn new(state: CachedState) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Locks the state. A panic in a decision leaves it as it was before, so a poisoned lock is fine.
    pub(super) fn lock(&self) -> MutexGuard<'_, CachedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A stream and the type that is folded from it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct StateKey {
    pub(super) stream: StreamId,
    pub(super) decider: TypeId,
}

impl StateKey {
    pub(super) fn of<D: 'static>(stream: StreamId) -> Self {
        Self { stream, decider: TypeId::of::<D>() }
    }
}

/// The cached states of all aggregates. All types share one cache, so its capacity bounds them together;
/// the states that discarded entries leave behind are bounded by the same number once more.
pub(super) struct StateCache {
    states: Cache<StateKey, SharedState>,
    /// The last committed states of discarded entries, from which the next load continues reading.
    last_committed: Cache<StateKey, Loaded<AnyState>>,
    pub(super) moments: MomentClock,
}

impl StateCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            states: Cache::new(capacity),
            last_committed: Cache::new(capacity),
            moments: MomentClock::default(),
        }
    }

    /// Returns the cached state, or the one that `load` reads, possibly starting from an older
    /// state. Concurrent loads of one stream are merged into one.
    pub(super) async fn get_or_load<L>(
        &self,
        key: &StateKey,
        load: impl FnOnce(Option<Loaded<AnyState>>) -> L,
    ) -> Result<SharedState>
    where
        L: Future<Output = Result<Loaded<AnyState>>>,
    {
        if let Some(state) = self.states.get(key) {
            return Ok(state);
        }
        let load = async {
            let base = self.last_committed.remove(key).map(|(_, base)| base);
            self.load(load(base)).await
        };
        self.states.get_or_insert_async(key, load).await
    }

    /// Reads a state, and notes the moment before.
    pub(super) async fn load(
        &self,
        load: impl Future<Output = Result<Loaded<AnyState>>>,
    ) -> Result<SharedState> {
        let read_after = self.moments.tick();
        Ok(SharedState::new(CachedState::new(load.await?, read_after)))
    }

    /// Removes a state that turned out to be wrong, unless a fresh one has taken its place.
    pub(super) fn discard(&self, key: &StateKey, state: &SharedState) {
        let mut locked = state.lock();
        if !std::mem::replace(&mut locked.is_stale, true) {
            // Before the state is removed, so that the next load finds it.
            self.last_committed.insert(key.clone(), locked.committed.clone());
        }
        drop(locked);
        self.states.remove_if(key, |cached| cached.is(state));
    }
}
