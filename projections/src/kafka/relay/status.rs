//! How a relay fares.

use std::sync::{Mutex, OnceLock, PoisonError};

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
    /// An event doesn't fit into a record. It is not passed: the relay waits before it, and tries again
    /// until it fits.
    RecordTooLarge {
        /// Which event.
        position: Position,
        /// How many bytes of payload it has; its record has some more.
        bytes: usize,
        /// How many bytes a record may have, if that is known.
        limit: Option<u32>,
        /// Which settings are to be raised.
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
            Self::RecordTooLarge { .. } => "record_too_large",
        }
    }

    /// Why it can't publish, if it can't.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Waiting | Self::Leading { .. } => None,
            Self::Failing { error, .. } | Self::RecordTooLarge { error, .. } => Some(error),
        }
    }
}

/// An event that doesn't fit into a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLarge {
    pub(super) position: Position,
    pub(super) bytes: usize,
    pub(super) limit: Option<u32>,
}

/// Says how a relay fares.
#[derive(Debug)]
pub(super) struct Reporter {
    status: watch::Sender<RelayStatus>,
    /// Made when the relay runs: its name is known then.
    meter: OnceLock<RelayMeter>,
    /// What the next failure is about, if it is about an event that is too large.
    too_large: Mutex<Option<TooLarge>>,
}

impl Reporter {
    pub(super) fn new() -> Self {
        let (status, too_large) = (watch::Sender::new(RelayStatus::Waiting), Mutex::default());
        Self { status, meter: OnceLock::new(), too_large }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// What is measured of the relay of this name.
    pub(super) fn meter(&self, relay: &str) -> &RelayMeter {
        self.meter.get_or_init(|| RelayMeter::new(relay))
    }

    /// What the next failure is about.
    pub(super) fn is_about(&self, too_large: Option<TooLarge>) {
        *self.too_large.lock().unwrap_or_else(PoisonError::into_inner) = too_large;
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
        let what = self.too_large.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.is(if what.is_some() { "record_too_large" } else { "failing" });
        if let Some(meter) = self.meter.get() {
            meter.failures.increment(1);
        }
        self.status.send_modify(|status| {
            let since = match status {
                RelayStatus::Failing { since, .. } | RelayStatus::RecordTooLarge { since, .. } => {
                    *since
                }
                _ => now,
            };
            let error = error.clone();
            *status = match what {
                Some(TooLarge { position, bytes, limit }) => {
                    RelayStatus::RecordTooLarge { position, bytes, limit, error, since }
                }
                None => RelayStatus::Failing { error, since },
            };
        });
    }
}
