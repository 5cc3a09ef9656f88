//! Conflicts: another writer was faster.

use crate::{
    error::Code,
    value::{Epoch, EventId, Expected, Position, ShardId, Sharding, StreamId, Version},
};

/// The expected state and the state found instead. Nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A stream is not in the state that the append expected (W1).
    #[error("stream {stream} was expected at {expected}, but is at version {}", actual.version)]
    Stream {
        /// The stream.
        stream: StreamId,
        /// The state that the append expected.
        expected: Expected,
        /// The state of the stream.
        actual: Actual,
    },
    /// An event that matches the append's condition was appended after the position decided on
    /// (W6).
    #[error("an event matching the boundary's query was appended at {found}, after {after}")]
    Boundary {
        /// The position up to which the decision had seen every matching event.
        after: Position,
        /// The first matching event beyond it.
        found: Position,
    },
    /// The checkpoint of a view is not where this worker left it: another worker has it now (R1).
    #[error("the checkpoint of view {view} was expected at {expected}, but is at {actual}")]
    Checkpoint {
        /// The view.
        view: String,
        /// The position at which this worker left it.
        expected: Position,
        /// Its position now.
        actual: Position,
    },
    /// The work on a view is divided differently from what this worker knows (R1).
    #[error("view {view} is divided as {actual} by now, not as {expected}")]
    Sharding {
        /// The view.
        view: String,
        /// The sharding that this worker knows.
        expected: Sharding,
        /// The sharding that the view has.
        actual: Sharding,
    },
    /// The view has been adopted by a program with another definition: this worker has to compare them again (R5).
    #[error("view {view} has another definition than this worker knows")]
    Definition {
        /// The view.
        view: String,
    },
    /// Another worker has taken the shard over: this one may not commit any more (R1).
    #[error(
        "shard {shard} of view {view} has been taken over: epoch {epoch} is fenced, {actual} commits"
    )]
    Fenced {
        /// The view.
        view: String,
        /// The shard.
        shard: ShardId,
        /// The epoch of this worker's claim.
        epoch: Epoch,
        /// The epoch that the shard has.
        actual: Epoch,
    },
}

/// The actual state of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actual {
    /// Its version.
    pub version: Version,
    /// The id of its last event, if it has one.
    pub head: Option<EventId>,
}

impl Conflict {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Stream { .. } => Code::STALE_VERSION,
            Self::Boundary { .. } => Code::STALE_BOUNDARY,
            Self::Checkpoint { .. } => Code::STALE_CHECKPOINT,
            Self::Fenced { .. } => Code::FENCED,
            Self::Sharding { .. } => Code::STALE_SHARDING,
            Self::Definition { .. } => Code::STALE_DEFINITION,
        }
    }

    /// The actual version of the stream, if a stream was stale.
    #[must_use]
    pub fn actual_version(&self) -> Option<Version> {
        if let Self::Stream { actual, .. } = self { Some(actual.version) } else { None }
    }
}
