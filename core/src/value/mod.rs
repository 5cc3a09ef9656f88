//! The small values that public functions take and return instead of strings and integers.
//!
//! | File | What is in it |
//! |---|---|
//! | `expected` | the state that an append expects a stream to be in (W1) |
//! | `freshness` | the freshness of an answer (R2) |
//! | `id` | identifiers of events and commands |
//! | `log_id` | the identity of the log that a position belongs to |
//! | `malformed` | the error of text that is not a value of its type |
//! | `number` | positions in the log, versions of a stream, versions of a schema |
//! | `pending` | the state of a view that has not reached the target of a read: *pending reconciliation* (R3) |
//! | `shard` | shards: parts of the work on a view, and the epochs of their owners |
//! | `stream` | names of streams and of their categories |
//! | `tag` | tags: the things that an event is about, for queries that cross streams (W6) |
//! | `token` | the consistency token, which a writer passes to a reader so that the read sees the write (R3) |

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
