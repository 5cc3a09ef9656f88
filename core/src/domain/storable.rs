//! Events as they are stored.

use super::{Event, EventType, RawEvent};
use crate::{error::Invalid, value::Tags};

/// An event as it is stored: its type, its tags, and a payload that can be read.
#[derive(Debug)]
pub(crate) struct StorableEvent {
    pub(crate) event_type: EventType,
    pub(crate) tags: Tags,
    pub(crate) payload: Vec<u8>,
}

impl StorableEvent {
    /// Encodes an event, decodes it again, and passes what was read to `emit`.
    ///
    /// # Errors
    /// [`Invalid`] if the event can't be encoded, or not be read again; it names the event, the field and the
    /// reason.
    pub(crate) fn new<E: Event>(event: &E, emit: &mut dyn FnMut(E)) -> Result<Self, Invalid> {
        let event_type = event.event_type();
        let EventType { name, version } = event_type;
        let refused = |reason: &str| Invalid::unstorable(format_args!("event {name}"), reason);
        let mut payload = Vec::with_capacity(128);
        event.encode(&mut payload).map_err(|error| refused(&error.to_string()))?;
        let raw = RawEvent { name, version, payload: &payload };
        E::decode(raw, emit)
            .map_err(|error| refused(&format!("it could not be read again: {error}")))?;
        Ok(Self { event_type, tags: event.tags(), payload })
    }
}
