//! A record of a topic: CloudEvents 1.0 in the binary content mode of Kafka, and the partition chain.
//!
//! | File | What is in it |
//! |---|---|
//! | `format` | the names of the headers, and marks |
//! | `encode` | encodes an event as the headers of its record |
//! | `decode` | decodes a record, and the event in it |

mod decode;
mod encode;
mod format;
#[cfg(test)]
mod tests;

pub(super) use decode::{DecodedRecord, RecordFault, TypeNames};
pub(super) use encode::RecordEncoder;
pub(super) use format::{MarkRecord, header};
