//! Encodes an event as the headers of its record.

use std::fmt::{Display, Write as _};

use bytes::Bytes;
use highwater_core::{
    Envelope, Position, Result,
    error::{Corrupt, Source},
};
use jiff::Timestamp;
use rdkafka::message::{Header, OwnedHeaders};
use uuid::{Uuid, fmt::Hyphenated};

use super::format::{MARK_TYPE, MarkRecord, SPEC_VERSION, header};

/// Writes headers. It caches what successive events have in common, and reuses its buffers.
pub(in crate::kafka) struct RecordEncoder {
    source: String,
    text: String,
    time: TimeText,
    metadata: MetadataHeaders,
}

/// The time that was written last, as text: the events of one commit share it.
struct TimeText {
    time: Timestamp,
    text: String,
}

/// The headers of the metadata that was decoded last: the events of one command share it.
#[derive(Default)]
struct MetadataHeaders {
    raw: Bytes,
    headers: Vec<(&'static str, String)>,
}

impl RecordEncoder {
    /// Creates an encoder for events of this source, a URI reference.
    pub(in crate::kafka) fn new(source: String) -> Self {
        let at = Timestamp::UNIX_EPOCH;
        let time = TimeText { time: at, text: at.to_string() };
        Self { source, text: String::new(), time, metadata: MetadataHeaders::default() }
    }

    /// Returns the headers of an event that follows `previous` in its partition.
    pub(in crate::kafka) fn event(
        &mut self,
        event: &Envelope,
        previous: Position,
    ) -> Result<OwnedHeaders> {
        self.metadata.update(event)?;
        let mut headers = self.begin(event.position, previous, &event.type_name, event.recorded_at);
        headers = uuid(headers, header::ID, event.id.as_uuid());
        headers = text(headers, header::SOURCE, &self.source);
        headers = self.subject(headers, event.stream.as_str());
        headers = text(headers, header::CONTENT_TYPE, "application/json");
        headers = self.number(headers, header::STREAM_VERSION, event.version);
        headers = self.number(headers, header::SCHEMA_VERSION, event.schema_version);
        headers = uuid(headers, header::COMMAND, event.command.as_uuid());
        headers = self.tags(headers, event)?;
        if !event.raw_metadata.is_empty() {
            headers = bytes(headers, header::METADATA, &event.raw_metadata);
        }
        Ok(self.metadata.headers.iter().fold(headers, |all, (name, value)| text(all, name, value)))
    }

    /// Returns the headers of a mark. Its id is unique within the source, as CloudEvents demands.
    pub(in crate::kafka) fn mark(&mut self, mark: MarkRecord, partition: i32) -> OwnedHeaders {
        let headers = self.begin(mark.position, mark.previous, MARK_TYPE, mark.as_of);
        let id = format_args!("{}/{}/{partition}", mark.position, mark.as_of);
        let headers = self.display(headers, header::ID, id);
        text(headers, header::SOURCE, &self.source)
    }

    /// Returns the headers that every record has.
    fn begin(
        &mut self,
        position: Position,
        previous: Position,
        type_name: &str,
        at: Timestamp,
    ) -> OwnedHeaders {
        let headers = OwnedHeaders::new_with_capacity(16);
        let headers = self.number(headers, header::POSITION, position);
        let headers = self.number(headers, header::PREVIOUS, previous);
        let headers = text(headers, header::TYPE, type_name);
        let headers = text(headers, header::TIME, self.time.format(at));
        text(headers, header::SPEC_VERSION, SPEC_VERSION)
    }

    fn number(&mut self, headers: OwnedHeaders, name: &str, number: impl Display) -> OwnedHeaders {
        self.display(headers, name, format_args!("{number}"))
    }

    fn display(
        &mut self,
        headers: OwnedHeaders,
        name: &str,
        value: std::fmt::Arguments<'_>,
    ) -> OwnedHeaders {
        self.text.clear();
        // Writing to a string can't fail.
        let _ = self.text.write_fmt(value);
        text(headers, name, &self.text)
    }

    /// Writes the stream as the subject. CloudEvents forbids control characters there; the key of the
    /// record is the stream byte by byte.
    fn subject(&mut self, headers: OwnedHeaders, stream: &str) -> OwnedHeaders {
        if !stream.chars().any(char::is_control) {
            return text(headers, header::SUBJECT, stream);
        }
        self.text.clear();
        for c in stream.chars() {
            if c.is_control() {
                let _ = write!(self.text, "%{:02X}", u32::from(c));
            } else {
                self.text.push(c);
            }
        }
        text(headers, header::SUBJECT, &self.text)
    }

    /// Writes the tags as JSON, because they may contain any separator.
    fn tags(&self, headers: OwnedHeaders, event: &Envelope) -> Result<OwnedHeaders> {
        if event.tags.is_empty() {
            return Ok(headers);
        }
        let json = serde_json::to_vec(&event.tags).map_err(|error| {
            Corrupt::value(format!("the tags of event {}", event.position), Source::new(error))
        })?;
        Ok(bytes(headers, header::TAGS, &json))
    }
}

impl TimeText {
    fn format(&mut self, time: Timestamp) -> &str {
        if self.time != time {
            self.time = time;
            self.text.clear();
            let _ = write!(self.text, "{time}");
        }
        &self.text
    }
}

impl MetadataHeaders {
    fn update(&mut self, event: &Envelope) -> Result<()> {
        if self.raw == event.raw_metadata {
            return Ok(());
        }
        let metadata = event.metadata()?;
        self.headers.clear();
        let mut add = |name, value: Option<String>| {
            self.headers.extend(value.map(|value| (name, value)));
        };
        let trace = metadata.trace.as_ref();
        add(header::CORRELATION, metadata.correlation.map(|id| id.to_string()));
        add(header::CAUSATION, metadata.causation.map(|id| id.to_string()));
        add(header::TRACE_PARENT, trace.map(|trace| trace.traceparent().to_owned()));
        add(header::TRACE_STATE, trace.and_then(|trace| trace.tracestate().map(str::to_owned)));
        self.raw = event.raw_metadata.clone();
        Ok(())
    }
}

fn text(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

fn bytes(headers: OwnedHeaders, key: &str, value: &[u8]) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

fn uuid(headers: OwnedHeaders, key: &str, uuid: &Uuid) -> OwnedHeaders {
    let mut buffer = [0; Hyphenated::LENGTH];
    text(headers, key, uuid.as_hyphenated().encode_lower(&mut buffer))
}
