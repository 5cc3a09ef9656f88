//! The store could not be reached, or not in time. Nothing was changed.

use std::time::Duration;

use crate::{
    error::{Code, Source},
    value::Pending,
};

/// The reason for which the store gave no answer. Nothing was changed: the same call can be made
/// again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The store can't be reached, or refused for a passing reason.
    #[error("the store is unavailable while {doing}: {source}")]
    Unreachable {
        /// The operation.
        doing: &'static str,
        /// The driver's error.
        source: Source,
    },
    /// Another process holds the database's lock for longer than the busy time-out.
    #[error("the database is locked by another process (while {doing})")]
    Locked {
        /// The operation.
        doing: &'static str,
        /// The driver's error.
        source: Source,
    },
    /// The broker can't be reached, or refused for a passing reason.
    #[error("Kafka is unavailable while {doing}: {source}")]
    Broker {
        /// The operation.
        doing: &'static str,
        /// The client's error.
        source: Source,
    },
    /// A topic does not exist: no relay has created it yet, or it was deleted.
    #[error("there is no topic {topic}: start the relay, which makes it, or check its name")]
    TopicMissing {
        /// Its name, or the names of which one is missing.
        topic: String,
    },
    /// A view does not exist: no worker has opened it yet, or it was removed or renamed.
    #[error(
        "there is no view {view}: start a worker that folds it, which makes it, or check its name"
    )]
    ViewMissing {
        /// Its name.
        view: String,
    },
    /// The store has been closed in this process.
    #[error("the store has been closed")]
    Closed,
    /// A view is not as far as a read asked for, within its budget (R3): *pending reconciliation*.
    #[error("{0}")]
    StaleRead(Pending),
    /// A view is being rebuilt for a changed program, and its rows are not answers yet (R5).
    #[error("{0}")]
    Rebuilding(Pending),
    /// A service was ended before it had drained (O5).
    #[error("the service was ended after {waited:?}, before it had drained")]
    ShutdownTimeout {
        /// The time that it had been draining.
        waited: Duration,
    },
}

impl Unavailable {
    /// Creates the error of a store that can't be reached during the operation `doing`.
    pub fn unreachable(doing: &'static str, source: Source) -> Self {
        Self::Unreachable { doing, source }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unreachable { .. } => Code::UNREACHABLE,
            Self::Locked { .. } => Code::LOCKED,
            Self::Broker { .. } => Code::BROKER_UNREACHABLE,
            Self::TopicMissing { .. } => Code::TOPIC_MISSING,
            Self::ViewMissing { .. } => Code::VIEW_MISSING,
            Self::Closed => Code::CLOSED,
            Self::StaleRead(_) => Code::STALE_READ,
            Self::Rebuilding(_) => Code::REBUILDING,
            Self::ShutdownTimeout { .. } => Code::SHUTDOWN_TIMEOUT,
        }
    }
}
