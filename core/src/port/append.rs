//! Appends to a store, and its answers.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use crate::{
    Result,
    domain::{EventType, Fingerprint, Query, TransactionHook},
    error::Invalid,
    port::MissingTag,
    value::{CommandId, EventId, Expected, Position, StreamId, Tags, Version},
};

/// Events for one or several streams, to be stored all or none (W2), once per command id (W4).
#[derive(Debug, Clone)]
pub struct Append {
    /// The id of the command; the same id again appends nothing and gives the first answer.
    pub command: CommandId,
    /// The fingerprint by which a different command under the same id is recognised.
    pub fingerprint: Fingerprint,
    /// The parts for the streams, each stream at most once. A stream without events is only
    /// checked.
    pub streams: Vec<StreamAppend>,
    /// A condition over other events (W6).
    pub condition: Option<Condition>,
    /// The encoded metadata of all the events; `None` if there is none.
    pub metadata: Option<Bytes>,
    /// A hook of the application in the same transaction.
    pub hook: Option<Arc<dyn TransactionHook>>,
}

/// The part of an append that concerns one stream.
#[derive(Debug, Clone)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamId,
    /// The state that it must have.
    pub expected: Expected,
    /// The events that are appended to it, in order.
    pub events: Vec<NewEvent>,
}

/// Append only if no event that matches `query`, or that `query` would miss for want of a tag, has been appended after
/// `after` (W6).
#[derive(Debug, Clone)]
pub struct Condition {
    /// The events that matter.
    pub query: Query,
    /// The events that matter because they lack a tag of the query, which a program of an earlier version doesn't give
    /// them.
    pub lacking: Vec<MissingTag>,
    /// The position up to which the decision includes them.
    pub after: Position,
}

/// An event that has not been stored yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id, a UUIDv7.
    pub id: EventId,
    /// Its type and schema version.
    pub event_type: EventType,
    /// Its tags.
    pub tags: Tags,
    /// Its payload.
    pub payload: Bytes,
}

/// The answer of a store to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The position of the last event appended, or the head of the log if none was.
    pub position: Position,
    /// The streams that got events, each at its version after them.
    pub streams: Vec<StreamHead>,
    /// True if the command had been stored before, so that nothing was appended now.
    pub repeated: bool,
}

/// A stream and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHead {
    /// The stream.
    pub stream: StreamId,
    /// Its version.
    pub version: Version,
}

/// The limits of an append. Larger ones are refused before anything is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest payload of an event, in bytes.
    pub payload: usize,
    /// The largest encoded metadata, in bytes.
    pub metadata: usize,
    /// The largest number of events.
    pub events: usize,
}

impl Default for Limits {
    /// 8 MiB, 64 KiB, 10,000 events.
    fn default() -> Self {
        Self { payload: 8 << 20, metadata: 64 << 10, events: 10_000 }
    }
}

impl Condition {
    /// Creates the condition that no event after `after` matches `query`.
    #[must_use]
    pub const fn new(query: Query, after: Position) -> Self {
        Self { query, lacking: Vec::new(), after }
    }

    /// Returns true if an event of this stream, type and tags breaks the condition, unless it is up to the position.
    #[must_use]
    pub fn is_broken_by(&self, stream: &StreamId, type_name: &str, tags: &Tags) -> bool {
        self.query.matches(stream, type_name, tags)
            || self.lacking.iter().any(|missing| missing.is_missing_in(type_name, tags))
    }
}

impl Append {
    /// Creates an append without streams under this command.
    #[must_use]
    pub fn new(command: CommandId, fingerprint: Fingerprint) -> Self {
        Self {
            command,
            fingerprint,
            streams: Vec::new(),
            condition: None,
            metadata: None,
            hook: None,
        }
    }

    /// Adds a stream.
    #[must_use]
    pub fn stream(mut self, stream: StreamId, expected: Expected, events: Vec<NewEvent>) -> Self {
        self.streams.push(StreamAppend { stream, expected, events });
        self
    }

    /// Sets the condition.
    #[must_use]
    pub fn only_if(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Returns all events, each with its stream.
    pub fn events(&self) -> impl Iterator<Item = (&StreamId, &NewEvent)> {
        self.streams.iter().flat_map(|part| part.events.iter().map(move |e| (&part.stream, e)))
    }

    /// Checks the conditions of all stores, so that adapters need not.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if a stream is named twice, a type's name, a tag
    /// or a query is malformed, or a part is larger than `limits`.
    pub fn validate(&self, limits: &Limits) -> Result<()> {
        let events = self.streams.iter().map(|part| part.events.len()).sum::<usize>();
        if events > limits.events {
            let message = format!("an append of {events} events; the limit is {}", limits.events);
            return Err(Invalid::new(crate::Code::TOO_LARGE, message).into());
        }
        let within = |what: &str, size, limit| {
            if size > limit { Err(Invalid::too_large(what, size, limit)) } else { Ok(()) }
        };
        within("the metadata", self.metadata.as_ref().map_or(0, Bytes::len), limits.metadata)?;
        for (_, event) in self.events() {
            within("the payload", event.payload.len(), limits.payload)?;
            event.event_type.validate()?;
            event.tags.as_slice().iter().try_for_each(crate::Tag::validate)?;
        }
        if let Some(condition) = &self.condition {
            condition.query.validate()?;
        }
        self.names_each_stream_once()
    }

    fn names_each_stream_once(&self) -> Result<()> {
        if self.streams.len() < 2 {
            return Ok(());
        }
        let mut named = HashSet::with_capacity(self.streams.len());
        for part in &self.streams {
            if !named.insert(&part.stream) {
                let message = format!("stream {} is named twice in one append", part.stream);
                return Err(Invalid::request(message).into());
            }
        }
        Ok(())
    }
}
