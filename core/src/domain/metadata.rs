//! The metadata of events.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    error::Invalid,
    value::{CorrelationId, EventId},
};

/// The circumstances of an event: the cause, the actor, the trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The correlation of this event; the command's own id if nothing caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CorrelationId>,
    /// The event that caused the command, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation: Option<EventId>,
    /// The W3C trace context of the request.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// The actor on whose behalf the command was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Further values by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

impl Metadata {
    /// Returns true if there is no metadata; then nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A [W3C trace context](https://www.w3.org/TR/trace-context/): the headers `traceparent` and
/// `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    traceparent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
}

impl TraceContext {
    /// Checks a `traceparent` header of version 00 and keeps it.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it reads `00-<32 hex>-<16 hex>-<2 hex>` in lower case with ids
    /// that are not all zero.
    pub fn new(traceparent: &str) -> Result<Self, Error> {
        if !is_traceparent(traceparent) {
            let right = "a W3C traceparent reads 00-<32 hex>-<16 hex>-<2 hex>, ids not all zero";
            return Err(Invalid::malformed("trace context", traceparent, right).into());
        }
        Ok(Self { traceparent: traceparent.into(), tracestate: None })
    }

    /// Adds the `tracestate` header.
    #[must_use]
    pub fn with_state(mut self, tracestate: impl Into<String>) -> Self {
        self.tracestate = Some(tracestate.into());
        self
    }

    /// The `traceparent` header.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The id of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.traceparent.get(3..35).unwrap_or_default()
    }

    /// The `tracestate` header.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent)
    }
}

fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, len| {
        part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let id = |part: &str, len| hex(part, len) && part.bytes().any(|b| b != b'0');
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts[..], ["00", trace, span, flags] if id(trace, 32) && id(span, 16) && hex(flags, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_checked() {
        let context = TraceContext::new(TRACE).unwrap();
        assert_eq!(context.traceparent(), TRACE);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in ["", "00-0-0-0", &TRACE.to_uppercase(), &TRACE.replace("4bf9", "zzzz")] {
            assert!(TraceContext::new(bad).unwrap_err().is_invalid(), "{bad}");
        }
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        assert!(TraceContext::new(zero).is_err());
    }

    #[test]
    fn empty_metadata_says_nothing_and_full_metadata_survives() {
        assert_eq!(serde_json::to_string(&Metadata::default()).unwrap(), "{}");
        let full = Metadata {
            trace: Some(TraceContext::new(TRACE).unwrap().with_state("a=1")),
            actor: Some("alice".into()),
            extra: [("channel".to_owned(), "web".to_owned())].into(),
            ..Metadata::default()
        };
        let json = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<Metadata>(&json).unwrap(), full);
        assert_eq!(serde_json::from_str::<Metadata>("{}").unwrap(), Metadata::default());
    }
}
