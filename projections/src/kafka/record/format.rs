//! The names in the headers of a record. Other programs read them: they never change.

use highwater_core::Position;
use jiff::Timestamp;

/// The version of CloudEvents that records have.
pub(super) const SPEC_VERSION: &str = "1.0";

/// The type of a mark, which has no key and no value.
pub(super) const MARK_TYPE: &str = "highwater.mark";

/// A mark: every event up to `position` that belongs in this partition stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) struct MarkRecord {
    /// The position up to which the partition is complete.
    pub(in crate::kafka) position: Position,
    /// The last event in this partition.
    pub(in crate::kafka) previous: Position,
    /// A time at which the log ended at `position` at the latest.
    pub(in crate::kafka) as_of: Timestamp,
}

/// The headers, in the order in which they are written.
pub(in crate::kafka) mod header {
    pub(in crate::kafka) const POSITION: &str = "ce_position";
    pub(in crate::kafka::record) const PREVIOUS: &str = "ce_previous";
    pub(in crate::kafka::record) const TYPE: &str = "ce_type";
    pub(in crate::kafka::record) const TIME: &str = "ce_time";
    pub(in crate::kafka::record) const SPEC_VERSION: &str = "ce_specversion";
    pub(in crate::kafka::record) const ID: &str = "ce_id";
    pub(in crate::kafka::record) const SOURCE: &str = "ce_source";
    pub(in crate::kafka::record) const SUBJECT: &str = "ce_subject";
    pub(in crate::kafka::record) const CONTENT_TYPE: &str = "content-type";
    pub(in crate::kafka::record) const STREAM_VERSION: &str = "ce_streamversion";
    pub(in crate::kafka::record) const SCHEMA_VERSION: &str = "ce_schemaversion";
    pub(in crate::kafka::record) const COMMAND: &str = "ce_commandid";
    pub(in crate::kafka::record) const TAGS: &str = "ce_tags";
    pub(in crate::kafka::record) const METADATA: &str = "ce_metadata";
    pub(in crate::kafka::record) const CORRELATION: &str = "ce_correlationid";
    pub(in crate::kafka::record) const CAUSATION: &str = "ce_causationid";
    pub(in crate::kafka::record) const TRACE_PARENT: &str = "ce_traceparent";
    pub(in crate::kafka::record) const TRACE_STATE: &str = "ce_tracestate";
}
