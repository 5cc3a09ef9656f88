//! From an event to the headers of its record.

use std::fmt::{Display, Write as _};

use bytes::Bytes;
use highwater_core::{Envelope, Position, Result, error::Corrupt, error::Source};
use jiff::Timestamp;
use rdkafka::message::{Header, OwnedHeaders};
use uuid::{Uuid, fmt::Hyphenated};

use super::{MARK, Mark, SPEC_VERSION, header};

/// Writes headers. It remembers what successive events have in common, and keeps its buffers.
pub(in crate::kafka) struct Encoder {
    source: String,
    text: String,
    time: Time,
    context: Context,
}

/// The moment written last: the events of one commit share it.
struct Time {
    at: Timestamp,
    text: String,
}

/// What other systems want of the metadata decoded last: the events of one command share it.
#[derive(Default)]
struct Context {
    of: Bytes,
    headers: Vec<(&'static str, String)>,
}

impl Encoder {
    /// An encoder of events of this source, a URI reference.
    pub(in crate::kafka) fn new(source: String) -> Self {
        let at = Timestamp::UNIX_EPOCH;
        let time = Time { at, text: at.to_string() };
        Self { source, text: String::new(), time, context: Context::default() }
    }

    /// The headers of an event that follows `previous` in its partition.
    pub(in crate::kafka) fn event(
        &mut self,
        event: &Envelope,
        previous: Position,
    ) -> Result<OwnedHeaders> {
        self.context.see(event)?;
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
        Ok(self.context.headers.iter().fold(headers, |all, (name, value)| text(all, name, value)))
    }

    /// The headers of a mark. Its id tells the marks of a source apart, as CloudEvents demands.
    pub(in crate::kafka) fn mark(&mut self, mark: Mark, partition: i32) -> OwnedHeaders {
        let headers = self.begin(mark.position, mark.previous, MARK, mark.as_of);
        let id = format_args!("{}/{}/{partition}", mark.position, mark.as_of);
        let headers = self.written(headers, header::ID, id);
        text(headers, header::SOURCE, &self.source)
    }

    /// What every record has.
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
        let headers = text(headers, header::TIME, self.time.of(at));
        text(headers, header::SPEC_VERSION, SPEC_VERSION)
    }

    fn number(&mut self, headers: OwnedHeaders, name: &str, number: impl Display) -> OwnedHeaders {
        self.written(headers, name, format_args!("{number}"))
    }

    fn written(
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

    /// The key of the record is the stream, byte by byte; the subject is the same for readers of
    /// CloudEvents, to whom control characters are forbidden.
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

    /// Tags may hold any separator, so they are written as JSON.
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

impl Time {
    fn of(&mut self, at: Timestamp) -> &str {
        if self.at != at {
            self.at = at;
            self.text.clear();
            let _ = write!(self.text, "{at}");
        }
        &self.text
    }
}

impl Context {
    fn see(&mut self, event: &Envelope) -> Result<()> {
        if self.of == event.raw_metadata {
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
        self.of = event.raw_metadata.clone();
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
