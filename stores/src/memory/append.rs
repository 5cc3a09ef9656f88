//! Appending: everything is checked before anything is changed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use highwater_core::{
    CommandId, Envelope, Position, Result, StreamId, Version,
    error::{Actual, Conflict, Invalid},
    port::{AddedTags, Append, Appended, Condition, NewEvent, StreamAppend, StreamHead},
};
use jiff::Timestamp;

use super::MemoryStore;

impl MemoryStore {
    pub(super) fn append_now(&self, append: Append) -> Result<Appended> {
        append.validate(&self.shared.limits)?;
        if append.hook.is_some() {
            let message = "the memory store has no transactions for hooks";
            return Err(Invalid::request(message).into());
        }
        let mut state = self.state();
        if let Some(answer) = state.commands.answer(append.command, append.fingerprint)? {
            return Ok(answer);
        }
        state.log.check(&append)?;
        let Append { command, fingerprint, .. } = append;
        let appended = state.log.push(append, self.shared.clock.now());
        state.commands.record(command, fingerprint, &appended);
        self.announce(appended.position);
        Ok(appended)
    }
}

/// The events in commit order, and the indexes of the events of each stream.
#[derive(Default)]
pub(super) struct MemoryLog {
    /// The event at position p is at index p − 1.
    pub(super) events: Vec<Envelope>,
    /// The event that made version v of a stream is at index `streams[stream][v - 1]`.
    pub(super) streams: HashMap<StreamId, Vec<usize>>,
    /// The type names, each shared by its events.
    type_names: HashSet<Arc<str>>,
}

/// The common values of the events of one append.
struct AppendOrigin {
    command: CommandId,
    recorded_at: Timestamp,
    raw_metadata: Bytes,
}

impl MemoryLog {
    pub(super) fn head(&self) -> Position {
        Position::new(self.events.len() as u64)
    }

    pub(super) fn actual(&self, stream: &StreamId) -> Actual {
        let indexes = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        Actual {
            version: Version::NONE.plus(indexes.len()),
            head: indexes.last().map(|index| self.events[*index].id),
        }
    }

    fn check(&self, append: &Append) -> Result<(), Conflict> {
        append.streams.iter().try_for_each(|part| self.check_stream(part))?;
        append.condition.as_ref().map_or(Ok(()), |condition| self.check_condition(condition))
    }

    fn check_stream(&self, part: &StreamAppend) -> Result<(), Conflict> {
        let actual = self.actual(&part.stream);
        if part.expected.is_met_by(actual.version, actual.head) {
            return Ok(());
        }
        Err(Conflict::Stream { stream: part.stream.clone(), expected: part.expected, actual })
    }

    fn check_condition(&self, condition: &Condition) -> Result<(), Conflict> {
        let matching = self
            .after(condition.after)
            .iter()
            .find(|event| condition.is_broken_by(&event.stream, &event.type_name, &event.tags));
        match matching {
            None => Ok(()),
            Some(event) => {
                Err(Conflict::Boundary { after: condition.after, found: event.position })
            }
        }
    }

    /// Adds tags to events. Positions without an event are passed over.
    pub(super) fn add_tags(&mut self, added: &[AddedTags]) {
        for AddedTags { position, tags } in added {
            let index =
                usize::try_from(position.get()).ok().and_then(|number| number.checked_sub(1));
            if let Some(event) = index.and_then(|index| self.events.get_mut(index)) {
                event.tags = event.tags.union(tags);
            }
        }
    }

    fn push(&mut self, append: Append, now: Timestamp) -> Appended {
        let earlier = self.events.last().map_or(now, |event| event.recorded_at);
        let origin = AppendOrigin {
            command: append.command,
            recorded_at: now.max(earlier),
            raw_metadata: append.metadata.unwrap_or_default(),
        };
        let streams = append
            .streams
            .into_iter()
            .filter(|part| !part.events.is_empty())
            .map(|part| self.push_stream(part, &origin))
            .collect();
        Appended { position: self.head(), streams, repeated: false }
    }

    fn push_stream(&mut self, part: StreamAppend, origin: &AppendOrigin) -> StreamHead {
        for event in part.events {
            self.push_event(&part.stream, event, origin);
        }
        StreamHead { version: self.actual(&part.stream).version, stream: part.stream }
    }

    fn push_event(&mut self, stream: &StreamId, event: NewEvent, origin: &AppendOrigin) {
        let type_name = self.type_name(event.event_type.name);
        let index = self.events.len();
        let indexes = self.streams.entry(stream.clone()).or_default();
        indexes.push(index);
        self.events.push(Envelope {
            position: Position::new(index as u64 + 1),
            stream: stream.clone(),
            version: Version::NONE.plus(indexes.len()),
            id: event.id,
            command: origin.command,
            type_name,
            schema_version: event.event_type.version,
            recorded_at: origin.recorded_at,
            tags: event.tags,
            payload: event.payload,
            raw_metadata: origin.raw_metadata.clone(),
        });
    }

    pub(super) fn type_name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.type_names.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        self.type_names.insert(shared.clone());
        shared
    }
}
