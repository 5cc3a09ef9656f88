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

/// A stored event with all that is known of it. Payload and metadata stay bytes until asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// The version of the stream with it.
    pub version: Version,
    /// Its id.
    pub id: EventId,
    /// The command that led to it.
    pub command: CommandId,
    /// The stable name of its type.
    pub type_name: Arc<str>,
    /// The schema version of its payload.
    pub schema_version: SchemaVersion,
    /// When the store recorded it, by the store's clock; never earlier than the event before it.
    pub recorded_at: Timestamp,
    /// What it is about.
    pub tags: Tags,
    /// Its payload.
    pub payload: Bytes,
    /// Its metadata, encoded; empty if there is none.
    pub raw_metadata: Bytes,
}

/// The part of metadata that says in which trace it is.
#[derive(Deserialize)]
struct Trace<'a> {
    #[serde(borrow)]
    traceparent: Cow<'a, str>,
    #[serde(borrow, default)]
    tracestate: Option<Cow<'a, str>>,
}

impl Envelope {
    /// Why, on whose behalf, in which trace.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) if what is stored can't be decoded.
    pub fn metadata(&self) -> Result<Metadata> {
        if self.raw_metadata.is_empty() {
            return Ok(Metadata::default());
        }
        serde_json::from_slice(&self.raw_metadata).map_err(|error| {
            let what = format!("the metadata of event {}", self.position);
            Corrupt::value(what, Source::new(error)).into()
        })
    }

    /// In which trace, if it says so. Nothing else is decoded, and what can't be understood is no
    /// trace: work on events must not end for it.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        let trace: Trace<'_> = serde_json::from_slice(&self.raw_metadata).ok()?;
        let context = TraceContext::new(&trace.traceparent).ok()?;
        Some(match trace.tracestate {
            Some(state) => context.with_state(state),
            None => context,
        })
    }

    /// To what it belongs: the stored correlation, or else its command.
    ///
    /// # Errors
    /// As [`Envelope::metadata`].
    pub fn correlation(&self) -> Result<CorrelationId> {
        Ok(self.metadata()?.correlation.unwrap_or_else(|| self.command.into()))
    }

    /// Decodes it as an `E` and gives what it means today to `emit`.
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

    /// Decodes it as an `E`: what it means today, one event as a rule.
    ///
    /// # Errors
    /// As [`Envelope::decode_into`].
    pub fn decode<E: Event>(&self) -> Result<Vec<E>> {
        let mut events = Vec::with_capacity(1);
        self.decode_into(&mut |event| events.push(event))?;
        Ok(events)
    }

    fn undecodable(&self, error: DecodeError) -> Corrupt {
        let (position, stream) = (self.position, self.stream.clone());
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
