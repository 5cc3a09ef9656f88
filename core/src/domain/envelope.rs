//! A stored event as it is read back.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Result,
    domain::{DecodeError, Event, Metadata, RawEvent, TraceContext},
    error::{Corrupt, Source},
    value::{CommandId, CorrelationId, EventId, Position, SchemaVersion, StreamId, Tags, Version},
};

/// A stored event with all its data. Payload and metadata stay bytes until they are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its position in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// The version of the stream after it.
    pub version: Version,
    /// Its id.
    pub id: EventId,
    /// The id of the command that led to it.
    pub command: CommandId,
    /// The stable name of its type.
    pub type_name: Arc<str>,
    /// The schema version of its payload.
    pub schema_version: SchemaVersion,
    /// The time at which the store recorded it, by the store's clock; never earlier than that of
    /// the event before it.
    pub recorded_at: Timestamp,
    /// Its tags.
    pub tags: Tags,
    /// Its payload.
    pub payload: Bytes,
    /// Its metadata, encoded; empty if there is none.
    pub raw_metadata: Bytes,
}

/// The trace context within the metadata.
#[derive(Deserialize)]
struct Trace<'a> {
    #[serde(borrow)]
    traceparent: Cow<'a, str>,
    #[serde(borrow, default)]
    tracestate: Option<Cow<'a, str>>,
}

impl Envelope {
    /// Decodes the metadata: the cause, the actor, the trace.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) if the metadata can't be decoded.
    pub fn metadata(&self) -> Result<Metadata> {
        if self.raw_metadata.is_empty() {
            return Ok(Metadata::default());
        }
        serde_json::from_slice(&self.raw_metadata).map_err(|error| {
            let what = format!("the metadata of event {}", self.position);
            Corrupt::value(what, Source::new(error)).into()
        })
    }

    /// Decodes the trace context alone, if there is one. A malformed one counts as none: it must
    /// not stop the work on events.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        let trace: Trace<'_> = serde_json::from_slice(&self.raw_metadata).ok()?;
        let context = TraceContext::new(&trace.traceparent).ok()?;
        Some(match trace.tracestate {
            Some(state) => context.with_state(state),
            None => context,
        })
    }

    /// Returns the stored correlation of the event, or else the id of its command as one.
    ///
    /// # Errors
    /// As [`Envelope::metadata`].
    pub fn correlation(&self) -> Result<CorrelationId> {
        Ok(self.metadata()?.correlation.unwrap_or_else(|| self.command.into()))
    }

    /// Decodes the event as an `E` and passes its current meaning to `emit`.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt): an unknown type, a newer schema version, or a
    /// payload that can't be decoded.
    pub fn decode_into<E: Event>(&self, emit: &mut dyn FnMut(E)) -> Result<()> {
        let raw = RawEvent {
            name: &self.type_name,
            version: self.schema_version,
            payload: &self.payload,
        };
        E::decode(raw, emit).map_err(|error| self.undecodable(error).into())
    }

    /// Decodes the event as an `E`: its current meaning, usually one event.
    ///
    /// # Errors
    /// As [`Envelope::decode_into`].
    pub fn decode<E: Event>(&self) -> Result<Vec<E>> {
        let mut events = Vec::with_capacity(1);
        self.decode_into(&mut |event| events.push(event))?;
        Ok(events)
    }

    fn undecodable(&self, error: DecodeError) -> Corrupt {
        let position = self.position;
        let stream = self.stream.clone();
        let type_name = self.type_name.as_ref().to_owned();
        match error {
            DecodeError::UnknownType => Corrupt::UnknownEvent { position, stream, type_name },
            DecodeError::NewerVersion { known } => {
                let found = self.schema_version;
                Corrupt::NewerEvent { position, stream, type_name, found, known }
            }
            DecodeError::Payload(error) => {
                Corrupt::Payload { position, stream, type_name, source: Source::new(error) }
            }
        }
    }
}
