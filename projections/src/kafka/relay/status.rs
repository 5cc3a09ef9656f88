//! How a relay fares.

use std::sync::OnceLock;

use highwater_core::{Error, Position};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::metrics::RelayMeter;

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

impl RelayStatus {
    /// Its name, as metrics and readiness have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leading { .. } => "leading",
            Self::Failing { .. } => "failing",
        }
    }
}

/// Says how a relay fares.
#[derive(Debug)]
pub(super) struct Reporter {
    status: watch::Sender<RelayStatus>,
    /// Made when the relay runs: its name is known then.
    meter: OnceLock<RelayMeter>,
}

impl Reporter {
    pub(super) fn new() -> Self {
        Self { status: watch::Sender::new(RelayStatus::Waiting), meter: OnceLock::new() }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// What is measured of the relay of this name.
    pub(super) fn meter(&self, relay: &str) -> &RelayMeter {
        self.meter.get_or_init(|| RelayMeter::new(relay))
    }

    pub(super) fn waiting(&self) {
        self.is("waiting");
        self.status.send_replace(RelayStatus::Waiting);
    }

    pub(super) fn leading(&self, published: Position) {
        self.is("leading");
        self.status.send_replace(RelayStatus::Leading { published });
    }

    fn is(&self, state: &'static str) {
        if let Some(meter) = self.meter.get() {
            meter.is(state);
        }
    }

    /// The first of several failures tells since when.
    pub(super) fn failing(&self, error: &Error, now: Timestamp) {
        self.is("failing");
        if let Some(meter) = self.meter.get() {
            meter.failures.increment(1);
        }
        self.status.send_modify(|status| {
            let since = match status {
                RelayStatus::Failing { since, .. } => *since,
                _ => now,
            };
            *status = RelayStatus::Failing { error: error.clone(), since };
        });
    }
}
