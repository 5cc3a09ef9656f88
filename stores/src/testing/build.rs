//! Events and appends to try a store with.

use bytes::Bytes;
use highwater_core::{
    CommandId, EventId, Position, Query, SchemaVersion, StreamId, Tag, Version,
    domain::{EventType, Fingerprint},
    port::{Append, Condition, Ids as _, NewEvent},
    value::Expected,
};

use crate::system::SystemIds;

/// A stream of the category `suite`.
#[must_use]
pub fn stream(key: &str) -> StreamId {
    stream_of("suite", key)
}

/// A stream of this category.
#[must_use]
pub fn stream_of(category: &str, key: &str) -> StreamId {
    StreamId::new(category, key).unwrap()
}

/// A tag with this value.
#[must_use]
pub fn tag(value: &str) -> Tag {
    Tag::new("suite", value)
}

/// A command id that has never been used.
#[must_use]
pub fn command() -> CommandId {
    SystemIds.command_id()
}

/// An event id that has never been used.
#[must_use]
pub fn event_id() -> EventId {
    SystemIds.event_id()
}

/// The fingerprint that the appends made here have.
pub const FINGERPRINT: Fingerprint = Fingerprint::from_bits(0xfeed_f00d_dead_beef);

/// The fingerprint of a different command.
pub const OTHER_FINGERPRINT: Fingerprint = Fingerprint::from_bits(7);

/// An event without tags.
#[must_use]
pub fn event() -> NewEvent {
    typed("suite.happened")
}

/// Several events without tags.
#[must_use]
pub fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event()).collect()
}

/// An event of this type.
#[must_use]
pub fn typed(name: &'static str) -> NewEvent {
    NewEvent {
        id: event_id(),
        event_type: EventType { name, version: SchemaVersion::FIRST },
        tags: highwater_core::Tags::none(),
        payload: Bytes::from_static(b"{}"),
    }
}

/// An event with these tags.
pub fn tagged(tags: impl IntoIterator<Item = Tag>) -> NewEvent {
    NewEvent { tags: tags.into_iter().collect(), ..event() }
}

/// An event with this payload.
pub fn with_payload(payload: impl Into<Bytes>) -> NewEvent {
    NewEvent { payload: payload.into(), ..event() }
}

/// An append of nothing yet, under a new command.
#[must_use]
pub fn empty() -> Append {
    Append::new(command(), FINGERPRINT)
}

/// An append to one stream, under a new command.
#[must_use]
pub fn append_to(stream: &StreamId, expected: Expected, events: Vec<NewEvent>) -> Append {
    empty().stream(stream.clone(), expected, events)
}

/// An append of one event to a stream at any version, under a new command.
#[must_use]
pub fn append_one(stream: &StreamId, event: NewEvent) -> Append {
    append_to(stream, Expected::Any, vec![event])
}

/// The expectation of exactly this version.
#[must_use]
pub fn at(version: u64) -> Expected {
    Expected::Version(Version::new(version))
}

/// The condition that nothing matching `query` came after `position`.
#[must_use]
pub fn nothing_like(query: Query, position: Position) -> Condition {
    Condition { query, after: position }
}
