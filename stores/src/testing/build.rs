//! Builders of events and appends.

use bytes::Bytes;
use highwater_core::{
    CommandId, EventId, Position, Query, SchemaVersion, StreamId, Tag, Version,
    domain::{EventType, Fingerprint},
    port::{Append, Condition, Ids as _, NewEvent},
    value::Expected,
};

use crate::system::SystemIds;

/// Returns a stream of the category `suite`.
#[must_use]
pub fn stream(key: &str) -> StreamId {
    stream_of("suite", key)
}

/// Returns a stream of a category.
#[must_use]
pub fn stream_of(category: &str, key: &str) -> StreamId {
    StreamId::new(category, key).unwrap()
}

/// Returns a tag with this value.
#[must_use]
pub fn tag(value: &str) -> Tag {
    Tag::new("suite", value)
}

/// Creates a command id.
#[must_use]
pub fn command() -> CommandId {
    SystemIds.command_id()
}

/// Creates an event id.
#[must_use]
pub fn event_id() -> EventId {
    SystemIds.event_id()
}

/// The fingerprint of the appends that this module builds.
pub const FINGERPRINT: Fingerprint = Fingerprint::from_bits(0xfeed_f00d_dead_beef);

/// The fingerprint of a different command.
pub const OTHER_FINGERPRINT: Fingerprint = Fingerprint::from_bits(7);

/// Creates an event without tags.
#[must_use]
pub fn event() -> NewEvent {
    typed("suite.happened")
}

/// Creates several events without tags.
#[must_use]
pub fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event()).collect()
}

/// Creates an event of a type.
#[must_use]
pub fn typed(name: &'static str) -> NewEvent {
    NewEvent {
        id: event_id(),
        event_type: EventType { name, version: SchemaVersion::FIRST },
        tags: highwater_core::Tags::none(),
        payload: Bytes::from_static(b"{}"),
    }
}

/// Creates an event with tags.
pub fn tagged(tags: impl IntoIterator<Item = Tag>) -> NewEvent {
    NewEvent { tags: tags.into_iter().collect(), ..event() }
}

/// Creates an event with a payload.
pub fn with_payload(payload: impl Into<Bytes>) -> NewEvent {
    NewEvent { payload: payload.into(), ..event() }
}

/// Creates an append without events, with a new command id.
#[must_use]
pub fn empty() -> Append {
    Append::new(command(), FINGERPRINT)
}

/// Creates an append to one stream, with a new command id.
#[must_use]
pub fn append_to(stream: &StreamId, expected: Expected, events: Vec<NewEvent>) -> Append {
    empty().stream(stream.clone(), expected, events)
}

/// Creates an append of one event to a stream at any version, with a new command id.
#[must_use]
pub fn append_one(stream: &StreamId, event: NewEvent) -> Append {
    append_to(stream, Expected::Any, vec![event])
}

/// Returns the expectation of exactly this version.
#[must_use]
pub fn at(version: u64) -> Expected {
    Expected::Version(Version::new(version))
}

/// Returns the condition that no event after `position` matches `query`.
#[must_use]
pub fn nothing_like(query: Query, position: Position) -> Condition {
    Condition::new(query, position)
}
