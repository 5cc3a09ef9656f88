//! How a relay fares.

use highwater_core::{Error, Position};
use jiff::Timestamp;
use tokio::sync::watch;

/// How a relay fares.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RelayStatus {
    /// Another relay of this name leads, or nobody does yet.
    Waiting,
    /// It publishes.
    Leading {
        /// Up to here everything is on Kafka, and that is committed.
        published: Position,
    },
    /// It can't publish, and tries again.
    Failing {
        /// Why.
        error: Error,
        /// Since when.
        since: Timestamp,
    },
}

/// Says how a relay fares.
#[derive(Debug)]
pub(super) struct Reporter(watch::Sender<RelayStatus>);

impl Reporter {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(RelayStatus::Waiting))
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<RelayStatus> {
        self.0.subscribe()
    }

    pub(super) fn waiting(&self) {
        self.0.send_replace(RelayStatus::Waiting);
    }

    pub(super) fn leading(&self, published: Position) {
        self.0.send_replace(RelayStatus::Leading { published });
    }

    /// The first of several failures tells since when.
    pub(super) fn failing(&self, error: &Error, now: Timestamp) {
        self.0.send_modify(|status| {
            let since = match status {
                RelayStatus::Failing { since, .. } => *since,
                _ => now,
            };
            *status = RelayStatus::Failing { error: error.clone(), since };
        });
    }
}
