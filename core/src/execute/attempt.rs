//! What happens under the locks of the slots: decide, check, and send the append. All of it is
//! synchronous, so appends reach the store in the order in which they build on each other.

use std::{any::Any, ops::Deref, sync::Arc};

use super::{
    execution::Execution,
    member::{Member, encode_metadata},
    slot::{AnyState, Committed, Pending, SharedSlot, Slot, share},
};
use crate::{
    Error, Result,
    error::{Actual, Conflict, Invalid},
    port::{Append, NewEvent, Snapshot},
    value::{Expected, Position},
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

    /// The leaders are in the order of their streams.
    fn place_of(&self, member: &dyn Member) -> usize {
        let stream = |leader: &usize| &self.members[*leader].key().stream;
        self.leaders.partition_point(|leader| *stream(leader) < member.key().stream)
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
        append.hook.clone_from(&self.cause.hook);
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
        Committed {
            state: Arc::clone(&self.state),
            version: self.version,
            head: self.head,
            snapshot: self.snapshot,
            bytes_since: self.bytes_since,
        }
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
        // Answers may be taken note of in another order than that of the commits.
        if committed.version > self.committed.version {
            self.committed = committed.clone();
        }
        let due = member.due_snapshot(committed, self.snapshot, self.bytes_since)?;
        if due.is_some() {
            (self.snapshot, self.bytes_since) = (committed.version, 0);
        }
        Ok(due)
    }
}

/// The first member on each distinct stream, in the order of the stream ids. Two types on one stream
/// would each have a state of its own of it.
pub(super) fn distinct_streams(members: &[Box<dyn Member>]) -> Result<Vec<usize>> {
    let key = |member: &usize| members[*member].key();
    let mut leaders: Vec<usize> = (0..members.len()).collect();
    leaders.sort_by(|a, b| key(a).stream.cmp(&key(b).stream));
    let mut twice = leaders.windows(2).filter(|pair| key(&pair[0]).stream == key(&pair[1]).stream);
    if let Some(pair) = twice.find(|pair| key(&pair[0]) != key(&pair[1])) {
        let stream = &key(&pair[0]).stream;
        let message = format!("stream {stream} is named by two types of aggregates in one command");
        return Err(Invalid::request(message).into());
    }
    leaders.dedup_by(|later, earlier| key(later) == key(earlier));
    Ok(leaders)
}
