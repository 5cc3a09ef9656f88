//! What the tests of the derives share.

#![allow(dead_code, reason = "not every test file uses all of it")]

use highwater_core::{
    Event, SchemaVersion,
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
