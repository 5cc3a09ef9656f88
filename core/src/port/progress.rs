//! The progress of a view's shards, and the workers that claim them.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

use super::Ids;
use crate::{
    Error,
    error::Invalid,
    value::{Epoch, Position, ShardId},
};

/// The progress of a shard: every event of it up to `position` has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The position.
    pub position: Position,
    /// The time at which the event there was recorded; the Unix epoch if there was none.
    pub as_of: Timestamp,
    /// The place where the feed continues, in its own terms; empty if it needs none.
    pub cursor: Bytes,
}

impl Default for Progress {
    fn default() -> Self {
        Self { position: Position::START, as_of: Timestamp::UNIX_EPOCH, cursor: Bytes::new() }
    }
}

/// The longest name of a worker, in bytes of UTF-8.
pub const WORKER_ID_LIMIT: usize = 200;

/// Names a worker, for as long as it runs: 1 to [`WORKER_ID_LIMIT`] bytes, without NUL, so that every
/// store can hold it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(String);

impl WorkerId {
    /// Checks and wraps a name. No two workers that run at once may have the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the name is malformed.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() || name.len() > WORKER_ID_LIMIT || name.contains('\0') {
            let right = format!("use 1 to {WORKER_ID_LIMIT} bytes, without NUL");
            return Err(Invalid::malformed("worker id", &name, &right).into());
        }
        Ok(Self(name))
    }

    /// Creates a name that no other worker has.
    #[must_use]
    pub fn unique(ids: &dyn Ids) -> Self {
        Self(ids.command_id().to_string())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The way in which a claim treats the current holder of the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimMode {
    /// Claim it only if no other worker holds it: it is free, its lease has run out, or it is the
    /// worker's own.
    IfFree,
    /// Claim it in any case: another authority, a consumer group, has assigned it to this worker.
    Always,
}

/// A shard that a worker has claimed, with its progress at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The shard.
    pub shard: ShardId,
    /// The epoch under which the worker commits.
    pub epoch: Epoch,
    /// The progress from which the worker continues.
    pub progress: Progress,
}

/// The stop of a shard: its worker met an error that an operator must look at, and nothing has been committed
/// since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStop {
    /// The shard. It stands at its progress.
    pub shard: ShardId,
    /// The time of the error, by the worker's clock.
    pub at: Timestamp,
    /// The error: its code and its message, for operators.
    pub error: String,
}

/// The workers that are alive, and the shards that they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// The workers that are alive, in order, including the one that sent the heartbeat.
    pub workers: Vec<WorkerId>,
    /// The holder of each shard, by its number; `None` if it is free or the lease has run out.
    pub holders: Vec<Option<WorkerId>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_id_that_a_store_could_not_hold_is_refused() {
        let long = "x".repeat(WORKER_ID_LIMIT);
        assert_eq!(WorkerId::new(long.as_str()).unwrap().as_str(), long);
        for name in ["", "\0", "worker\0", &format!("{long}x")] {
            let error = WorkerId::new(name).unwrap_err();
            assert_eq!(error.code(), crate::Code::MALFORMED, "{error}");
        }
    }
}
