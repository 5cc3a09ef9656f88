//! The small values that public functions take and return instead of strings and integers.

mod expected;
mod freshness;
mod id;
mod log_id;
mod malformed;
mod number;
mod pending;
mod shard;
mod stream;
mod tag;
mod token;

/// A moment in time, of the clock or of an event.
pub use jiff::Timestamp;

pub use expected::Expected;
pub use freshness::{Freshness, FreshnessStatus};
pub use id::{CommandId, CorrelationId, EventId};
pub use log_id::LogId;
pub use malformed::Malformed;
pub use number::{Position, SchemaVersion, Version};
pub use pending::{Pending, Target};
pub use shard::{Epoch, ShardBy, ShardId, Sharding};
pub use stream::{Category, STREAM_ID_LIMIT, StreamId};
pub use tag::{TAG_LIMIT, Tag, Tags};
pub use token::{PartitionId, Token};
