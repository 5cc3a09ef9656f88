//! An event or a command as a line of the file, exact to the byte.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use highwater::{
    CommandId, Envelope, Position, StreamId, Tag, Version,
    domain::Fingerprint,
    port::CommandPlace,
    value::{EventId, SchemaVersion},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The first line of every file.
pub(super) const HEADER: &str = "{\"format\":\"highwater-log\",\"version\":1}";

/// An event with the record of its command, or the record of a command without events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogEntry {
    pub(super) command: CommandPlace,
    pub(super) event: Option<Envelope>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    command: CommandPart,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<EventPart>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandPart {
    id: CommandId,
    /// Hexadecimal digits.
    fingerprint: String,
    first: u64,
    last: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventPart {
    position: u64,
    stream: StreamId,
    version: u64,
    id: EventId,
    #[serde(rename = "type")]
    type_name: String,
    schema_version: u32,
    recorded_at: Timestamp,
    tags: Vec<Tag>,
    /// Absent if there is none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    /// The metadata if JSON would not keep its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata_base64: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    /// The payload if JSON would not keep its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Tells the value `null` from one that is absent.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(value).map(Some)
}

impl LogEntry {
    /// Returns the line, with its end.
    pub(super) fn to_line(&self) -> serde_json::Result<Vec<u8>> {
        let CommandPlace { id, fingerprint, first, last } = self.command;
        let fingerprint = format!("{:016x}", fingerprint.bits());
        let command = CommandPart { id, fingerprint, first: first.get(), last: last.get() };
        let line = Line { command, event: self.event.as_ref().map(EventPart::of) };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        Ok(line)
    }

    /// Reads a line, without its end. The error says what is wrong with it.
    pub(super) fn of_line(line: &[u8]) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let CommandPart { id, fingerprint, first, last } = line.command;
        let bits = u64::from_str_radix(&fingerprint, 16).ok().filter(|_| fingerprint.len() == 16);
        let bits = bits.ok_or("the fingerprint must have 16 hexadecimal digits")?;
        let command = CommandPlace {
            id,
            fingerprint: Fingerprint::from_bits(bits),
            first: Position::new(first),
            last: Position::new(last),
        };
        let event = line.event.map(|event| event.envelope(id)).transpose()?;
        if event.is_some() != command.has_events() {
            return Err(
                "the command has events, and the line has none, or the other way round".to_owned()
            );
        }
        Ok(Self { command, event })
    }
}

impl EventPart {
    fn of(event: &Envelope) -> Self {
        let has_metadata = !event.raw_metadata.is_empty();
        let (metadata, metadata_base64) =
            if has_metadata { parts(&event.raw_metadata) } else { (None, None) };
        let (payload, payload_base64) = parts(&event.payload);
        Self {
            position: event.position.get(),
            stream: event.stream.clone(),
            version: event.version.get(),
            id: event.id,
            type_name: event.type_name.as_ref().to_owned(),
            schema_version: event.schema_version.get(),
            recorded_at: event.recorded_at,
            tags: event.tags.as_slice().to_vec(),
            metadata,
            metadata_base64,
            payload,
            payload_base64,
        }
    }

    fn envelope(self, command: CommandId) -> Result<Envelope, String> {
        let payload = bytes(self.payload, self.payload_base64, "payload")?;
        Ok(Envelope {
            position: Position::new(self.position),
            stream: self.stream,
            version: Version::new(self.version),
            id: self.id,
            command,
            type_name: self.type_name.into(),
            schema_version: SchemaVersion::new(self.schema_version),
            recorded_at: self.recorded_at,
            tags: self.tags.into_iter().collect(),
            payload: payload.ok_or("the event has no payload")?.into(),
            raw_metadata: bytes(self.metadata, self.metadata_base64, "metadata")?
                .unwrap_or_default()
                .into(),
        })
    }
}

/// Returns bytes as JSON if a line of JSON keeps them, and else as base64.
fn parts(bytes: &[u8]) -> (Option<Box<RawValue>>, Option<String>) {
    match exact(bytes) {
        Some(json) => (Some(json), None),
        None => (None, Some(BASE64_STANDARD.encode(bytes))),
    }
}

fn exact(bytes: &[u8]) -> Option<Box<RawValue>> {
    if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return None;
    }
    let json: Box<RawValue> = serde_json::from_slice(bytes).ok()?;
    (json.get().len() == bytes.len()).then_some(json)
}

fn bytes(
    json: Option<Box<RawValue>>,
    base64: Option<String>,
    name: &str,
) -> Result<Option<Vec<u8>>, String> {
    match (json, base64) {
        (Some(_), Some(_)) => Err(format!("there are both {name} and {name}_base64")),
        (Some(json), None) => Ok(Some(json.get().as_bytes().to_vec())),
        (None, Some(text)) => {
            let bytes = BASE64_STANDARD.decode(text);
            bytes.map(Some).map_err(|error| format!("{name}_base64 can't be decoded: {error}"))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(payload: &[u8], metadata: &[u8]) -> LogEntry {
        let id: CommandId = "01a22e51-cbee-7651-beb7-4dd50546dc24".parse().unwrap();
        let place = Position::new(7);
        let fingerprint = Fingerprint::from_bits(u64::MAX - 1);
        let event = Envelope {
            position: place,
            stream: StreamId::new("account", "\u{1f600} \"a\"\n\u{2028}").unwrap(),
            version: Version::new(2),
            id: EventId::from_uuid(*id.as_uuid()),
            command: id,
            type_name: "account.opened".into(),
            schema_version: SchemaVersion::new(3),
            recorded_at: "2026-12-01T00:00:00.000001Z".parse().unwrap(),
            tags: [Tag::new("owner", "\\ \"")].into(),
            payload: payload.to_vec().into(),
            raw_metadata: metadata.to_vec().into(),
        };
        let command = CommandPlace { id, fingerprint, first: place, last: place };
        LogEntry { command, event: Some(event) }
    }

    #[test]
    fn a_line_keeps_every_byte() {
        for payload in [
            &b"{}"[..],
            b"null",
            b"",
            b" {\"a\":1}",
            b"{\"a\":1} ",
            b"{\"a\":\r\n1}",
            b"{\"a\":1,\"a\":1.10e+2, \"b\" : 12345678901234567890123}",
            b"\"\\u0061\\/\"",
            b"\xff\x00",
            b"\xef\xbb\xbf{}",
            b"{} {}",
        ] {
            for metadata in [&b""[..], b"null", b"{ \"actor\":\"alice\"}", b"\n", b"\x80"] {
                let entry = entry(payload, metadata);
                let line = entry.to_line().unwrap();
                let (end, line) = line.split_last().unwrap();
                assert!(*end == b'\n' && !line.contains(&b'\n'), "{line:?}");
                assert_eq!(LogEntry::of_line(line).unwrap(), entry);
            }
        }
        let json = String::from_utf8(entry(b"{\"cents\":1.10}", b"").to_line().unwrap()).unwrap();
        assert!(json.ends_with("\"payload\":{\"cents\":1.10}}}\n"), "{json}");
        let mut nothing = entry(b"{}", b"");
        nothing.event = None;
        nothing.command.first = Position::new(8);
        let line = nothing.to_line().unwrap();
        assert_eq!(LogEntry::of_line(&line[..line.len() - 1]).unwrap(), nothing);
    }

    #[test]
    fn a_line_that_is_not_understood_whole_is_refused() {
        let line = String::from_utf8(entry(b"{}", b"").to_line().unwrap()).unwrap();
        for (from, to, why) in [
            ("\"first\":7", "\"first\":8", "has none"),
            ("\"payload\":{}", "\"payload\":{},\"payload_base64\":\"\"", "both payload"),
            (",\"payload\":{}", "", "no payload"),
            ("\"payload\":{}", "\"payload_base64\":\"?\"", "can't be decoded"),
            ("\"payload\":{}", "\"payload\":{},\"more\":1", "unknown field"),
            ("fffffffffffffffe", "fffe", "16 hexadecimal digits"),
            ("\"account-", "\"account", "account"),
        ] {
            let bad = line.replace(from, to);
            assert_ne!(bad, line);
            let error = LogEntry::of_line(bad.trim_end().as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
