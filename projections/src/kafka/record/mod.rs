//! What a record of a topic says: CloudEvents 1.0 in the binary content mode of Kafka, and the chain.
//!
//! The names of the headers are a format that other programs read: they never change.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(super) use decode::{Names, Record, Wrong};
pub(super) use encode::Encoder;

use highwater_core::Position;
use jiff::Timestamp;

/// The type of a mark, which has no key and no value.
pub(super) const MARK: &str = "highwater.mark";

/// In band and in order: every event up to `position` that belongs in this partition stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Up to here.
    pub(super) position: Position,
    /// The last event in this partition.
    pub(super) previous: Position,
    /// As of when the log was no further than `position`.
    pub(super) as_of: Timestamp,
}

/// The headers, in the order in which they are written.
pub(super) mod header {
    pub(in crate::kafka) const POSITION: &str = "ce_position";
    pub(super) const PREVIOUS: &str = "ce_previous";
    pub(super) const TYPE: &str = "ce_type";
    pub(super) const TIME: &str = "ce_time";
    pub(super) const SPEC_VERSION: &str = "ce_specversion";
    pub(super) const ID: &str = "ce_id";
    pub(super) const SOURCE: &str = "ce_source";
    pub(super) const SUBJECT: &str = "ce_subject";
    pub(super) const CONTENT_TYPE: &str = "content-type";
    pub(super) const STREAM_VERSION: &str = "ce_streamversion";
    pub(super) const SCHEMA_VERSION: &str = "ce_schemaversion";
    pub(super) const COMMAND: &str = "ce_commandid";
    pub(super) const TAGS: &str = "ce_tags";
    pub(super) const METADATA: &str = "ce_metadata";
    pub(super) const CORRELATION: &str = "ce_correlationid";
    pub(super) const CAUSATION: &str = "ce_causationid";
    pub(super) const TRACE_PARENT: &str = "ce_traceparent";
    pub(super) const TRACE_STATE: &str = "ce_tracestate";
}

/// The version of CloudEvents that is spoken.
const SPEC_VERSION: &str = "1.0";
