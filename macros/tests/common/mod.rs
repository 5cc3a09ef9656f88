//! What the tests of the derives share.

#![allow(dead_code, reason = "not every test file uses all of it")]

use highwater_core::{
    Envelope, Event, Position, SchemaVersion, StreamId, Timestamp, Version,
    domain::{DecodeError, RawEvent},
};

/// The payload as text.
pub(crate) fn encoded<E: Event>(event: &E) -> String {
    let mut out = Vec::new();
    event.encode(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What a stored event means today.
pub(crate) fn decoded<E: Event>(
    name: &str,
    version: u32,
    payload: &str,
) -> Result<Vec<E>, DecodeError> {
    let version = SchemaVersion::new(version);
    let mut events = Vec::new();
    let raw = RawEvent { name, version, payload: payload.as_bytes() };
    E::decode(raw, &mut |event| events.push(event)).map(|()| events)
}

/// The event after it has been stored and read back.
pub(crate) fn stored<E: Event>(event: &E) -> Vec<E> {
    let event_type = event.event_type();
    decoded(event_type.name, event_type.version.get(), &encoded(event)).unwrap()
}

/// The event as a store gives it back, in a stream of this id.
pub(crate) fn envelope<E: Event>(stream: &str, event: &E) -> Envelope {
    let none = "00000000-0000-0000-0000-000000000000";
    let event_type = event.event_type();
    Envelope {
        position: Position::new(1),
        stream: StreamId::parse(stream).unwrap(),
        version: Version::new(1),
        id: none.parse().unwrap(),
        command: none.parse().unwrap(),
        type_name: event_type.name.into(),
        schema_version: event_type.version,
        recorded_at: Timestamp::UNIX_EPOCH,
        tags: event.tags(),
        payload: encoded(event).into(),
        raw_metadata: String::new().into(),
    }
}
