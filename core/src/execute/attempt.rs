//! What happens under the locks of the slots: decide, check, and send the append. All of it is
//! synchronous, so appends reach the store in the order in which they build on each other.

use std::{any::Any, ops::Deref, sync::Arc};

use super::{
    execution::Execution,
    member::{Member, encode_metadata},
    slot::{AnyState, Pending, SharedSlot, Slot, share},
};
use crate::{
    Error, Result,
    error::{Actual, Conflict},
    port::{Append, Expected, NewEvent, Snapshot},
    value::{EventId, Position, Version},
};

/// The decided events of each member, as its resolver wants to see them.
pub(super) type Typed = Vec<Box<dyn Any + Send + Sync>>;

/// The appends that the slots' states rested on when the decision was made.
pub(super) type Bases = Vec<Option<Pending>>;

/// How a decision ended.
pub(super) enum Outcome {
    /// The append is on its way.
    Sent { pending: Pending, decided: Typed, bases: Bases, committed: Vec<Committed> },
    /// Nothing is to be appended, or the answer is no. It counts once its bases are committed.
    Settled { outcome: Result<Position>, decided: Typed, bases: Bases },
    /// A slot has been found wrong since it was looked up.
    Stale,
}

/// The state that a slot has once the append is committed.
pub(super) struct Committed {
    pub(super) state: AnyState,
    pub(super) version: Version,
    pub(super) head: Option<EventId>,
}

impl Execution<'_> {
    pub(super) fn decide(&self, slots: &[SharedSlot]) -> Result<Outcome> {
        let mut locked: Vec<_> = slots.iter().map(SharedSlot::lock).collect();
        if locked.iter().any(|slot| slot.stale) {
            return Ok(Outcome::Stale);
        }
        let bases: Bases = locked.iter().map(|slot| slot.pending.clone()).collect();
        let mut draft = Draft::on(&locked);
        let refused = self.decide_members(&mut draft).err();
        if let Some(error) = self.unexpected(&locked[0]).or(refused) {
            return Ok(Outcome::Settled { outcome: Err(error), decided: draft.decided, bases });
        }
        if draft.events.iter().all(Vec::is_empty) {
            let position = locked.iter().map(|slot| slot.position).max().unwrap_or_default();
            return Ok(Outcome::Settled { outcome: Ok(position), decided: draft.decided, bases });
        }
        let append = self.append(&locked, &mut draft.events)?;
        for (slot, (state, part)) in
            locked.iter_mut().zip(draft.states.into_iter().zip(&append.streams))
        {
            slot.extend(state, &part.events);
        }
        let pending = share(self.engine.log.append(append));
        for slot in &mut locked {
            slot.pending = Some(pending.clone());
        }
        let committed = locked.iter().map(|slot| slot.committed()).collect();
        Ok(Outcome::Sent { pending, decided: draft.decided, bases, committed })
    }

    /// Each member decides on what those before it on the same stream have left.
    fn decide_members(&self, draft: &mut Draft) -> Result<()> {
        for member in self.members {
            let place = self.place_of(member.as_ref());
            let state = &draft.states[place];
            let decided = member.decide(state, &self.occasion, &*self.engine.ids)?;
            draft.states[place] = decided.next;
            draft.events[place].extend(decided.events);
            draft.decided.push(decided.typed);
        }
        Ok(())
    }

    /// The leaders are in the order of their streams. Only a malformed command has two on one stream,
    /// of different types.
    fn place_of(&self, member: &dyn Member) -> usize {
        let (key, key_of) = (member.key(), |leader: &usize| self.members[*leader].key());
        let first = self.leaders.partition_point(|leader| key_of(leader).stream < key.stream);
        first + self.leaders[first..].iter().take_while(|leader| key_of(leader) != key).count()
    }

    fn append(
        &self,
        slots: &[impl Deref<Target = Slot>],
        events: &mut [Vec<NewEvent>],
    ) -> Result<Append> {
        let mut append = Append::new(self.occasion.command, self.fingerprint);
        for ((slot, events), &leader) in slots.iter().zip(events).zip(&self.leaders) {
            let stream = self.members[leader].key().stream.clone();
            append = append.stream(stream, slot.expected(), std::mem::take(events));
        }
        append.metadata = encode_metadata(&self.occasion.metadata)?;
        append.attachment.clone_from(&self.cause.attachment);
        Ok(append)
    }

    /// The conflict with the version that the caller asked for, if there is one.
    fn unexpected(&self, slot: &Slot) -> Option<Error> {
        let expected = self.cause.expected.filter(|version| *version != slot.version)?;
        if self.excused {
            return None;
        }
        let conflict = Conflict::Stream {
            stream: self.members[self.leaders[0]].key().stream.clone(),
            expected: Expected::Version(expected),
            actual: Actual { version: slot.version, head: slot.head },
        };
        Some(conflict.into())
    }
}

/// States and events as the members decide, one place for each slot.
struct Draft {
    states: Vec<AnyState>,
    events: Vec<Vec<NewEvent>>,
    decided: Typed,
}

impl Draft {
    fn on(slots: &[impl Deref<Target = Slot>]) -> Self {
        Self {
            states: slots.iter().map(|slot| Arc::clone(&slot.state)).collect(),
            events: slots.iter().map(|_| Vec::new()).collect(),
            decided: Vec::new(),
        }
    }
}

impl Slot {
    fn expected(&self) -> Expected {
        self.head.map_or(Expected::NoStream, |head| Expected::Head(self.version, head))
    }

    fn committed(&self) -> Committed {
        Committed { state: Arc::clone(&self.state), version: self.version, head: self.head }
    }

    /// Takes on the state after events that are about to be sent.
    fn extend(&mut self, state: AnyState, events: &[NewEvent]) {
        self.state = state;
        self.version = self.version.plus(events.len());
        self.head = events.last().map(|event| event.id).or(self.head);
        self.bytes_since += events.iter().map(|event| event.payload.len() as u64).sum::<u64>();
    }

    /// Notes a commit, and gives a snapshot of the committed state if one is due.
    pub(super) fn confirm(
        &mut self,
        member: &dyn Member,
        committed: &Committed,
        position: Position,
        append: &Pending,
    ) -> Result<Option<Snapshot>> {
        self.position = self.position.max(position);
        if self.pending.as_ref().is_some_and(|pending| pending.ptr_eq(append)) {
            self.pending = None;
        }
        let due = member.due_snapshot(committed, self.snapshot, self.bytes_since)?;
        if due.is_some() {
            self.snapshot = committed.version;
            self.bytes_since = 0;
        }
        Ok(due)
    }
}

/// The first member on each distinct stream, in the order of the stream ids.
pub(super) fn distinct_streams(members: &[Box<dyn Member>]) -> Vec<usize> {
    let mut leaders: Vec<usize> = (0..members.len()).collect();
    leaders.sort_by(|a, b| members[*a].key().stream.cmp(&members[*b].key().stream));
    leaders.dedup_by(|later, earlier| members[*later].key() == members[*earlier].key());
    leaders
}
