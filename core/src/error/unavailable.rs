//! The store could not be asked, or not in time. Nothing was changed.

use std::time::Duration;

use crate::{
    error::{Code, Source},
    value::{Position, Token},
};

/// Why the store gave no answer. Nothing was changed: the same call can be made again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The store can't be reached, or refused for a passing reason.
    #[error("the store is unavailable while {doing}: {source}")]
    Unreachable {
        /// What was being done.
        doing: &'static str,
        /// The driver's error.
        source: Source,
    },
    /// Another process holds the database's lock for longer than the busy time-out.
    #[error("the database is locked by another process (while {doing})")]
    Locked {
        /// What was being done.
        doing: &'static str,
        /// The driver's error.
        source: Source,
    },
    /// The broker can't be reached, or refused for a passing reason.
    #[error("Kafka is unavailable while {doing}: {source}")]
    Broker {
        /// What was being done.
        doing: &'static str,
        /// The client's error.
        source: Source,
    },
    /// The store has been closed in this process.
    #[error("the store has been closed")]
    Closed,
    /// A view had not reached the token within the time allowed (R3).
    #[error("view {view} is at {reached}, and did not reach {wanted} within {waited:?}")]
    Behind {
        /// The view.
        view: String,
        /// Where it is.
        reached: Position,
        /// Where it was to be.
        wanted: Token,
        /// How long the read waited.
        waited: Duration,
    },
}

impl Unavailable {
    /// The store can't be reached while `doing` this.
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
            Self::Closed => Code::CLOSED,
            Self::Behind { .. } => Code::BEHIND,
        }
    }
}
