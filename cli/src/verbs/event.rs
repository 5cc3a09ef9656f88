//! An event, as it is printed.

use std::io;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use highwater::Envelope;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::output::{Output, printable};

/// An event as one line of JSON. The payload is that of the store, but for line breaks between its tokens.
#[derive(Serialize)]
struct EventReport<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    #[serde(rename = "type")]
    type_name: &'a str,
    schema_version: u64,
    recorded_at: Timestamp,
    id: String,
    command: String,
    tags: Vec<&'a str>,
    metadata: Option<Box<RawValue>>,
    payload: Option<Box<RawValue>>,
    /// The payload if it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl<'a> EventReport<'a> {
    fn new(event: &'a Envelope) -> Self {
        let payload = on_one_line(&event.payload);
        let is_json = payload.is_some();
        Self {
            position: event.position.get(),
            stream: event.stream.as_str(),
            version: event.version.get(),
            type_name: &event.type_name,
            schema_version: event.schema_version.get().into(),
            recorded_at: event.recorded_at,
            id: event.id.to_string(),
            command: event.command.to_string(),
            tags: event.tags.as_slice().iter().map(highwater::Tag::as_str).collect(),
            metadata: on_one_line(&event.raw_metadata),
            payload,
            payload_base64: (!is_json).then(|| BASE64_STANDARD.encode(&event.payload)),
        }
    }
}

/// Returns JSON as it is, on one line: line breaks are only between its tokens, since strings have them escaped.
/// `None` if it is no JSON.
fn on_one_line(json: &[u8]) -> Option<Box<RawValue>> {
    let without_break = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    let line: Vec<u8> = json.iter().map(without_break).collect();
    serde_json::from_slice(&line).ok()
}

/// Prints an event: a line of JSON, or its place, its type and its payload.
pub(super) fn print(event: &Envelope, output: &mut Output<'_>) -> io::Result<()> {
    if output.json {
        return output.json_line(&EventReport::new(event));
    }
    let Envelope { position, stream, version, type_name, recorded_at, .. } = event;
    let place = printable(stream.as_str());
    output.line(&format!("{position}  {place} version {version}"))?;
    output.line(&format!("  {}  {recorded_at}", printable(type_name)))?;
    match std::str::from_utf8(&event.payload) {
        Ok(payload) => output.line(&format!("  {}", printable(payload))),
        Err(_) => output.line(&format!("  base64 {}", BASE64_STANDARD.encode(&event.payload))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_digits_and_loses_its_line_breaks() {
        let json = on_one_line(b"{\"a\":\r\n 1.10, \"b\": 12345678901234567890123}").unwrap();
        assert_eq!(json.get(), "{\"a\":   1.10, \"b\": 12345678901234567890123}");
        assert!(on_one_line(b"\xff{").is_none());
        assert!(on_one_line(b"").is_none());
    }
}
