//! The status of a relay, and how it is reported.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use highwater_core::{Error, Position};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::metrics::RelayMeter;

/// The status of a relay.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RelayStatus {
    /// Another relay of this name leads, or none does yet.
    Waiting,
    /// The relay publishes.
    Leading {
        /// The position up to which everything is on Kafka; it is committed.
        published: Position,
    },
    /// The relay can't publish, and retries.
    Failing {
        /// The reason.
        error: Error,
        /// The time of the first failure.
        since: Timestamp,
    },
    /// An event doesn't fit into a record. The relay doesn't skip it: it retries until the event fits.
    RecordTooLarge {
        /// The position of the event.
        position: Position,
        /// The size of its payload in bytes; its record is a little larger.
        bytes: usize,
        /// The size limit of a record in bytes, if it is known.
        limit: Option<u32>,
        /// The error, which names the settings to raise.
        error: Error,
        /// The time of the first failure.
        since: Timestamp,
    },
}

impl RelayStatus {
    /// The name of the status in metrics and readiness.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leading { .. } => "leading",
            Self::Failing { .. } => "failing",
            Self::RecordTooLarge { .. } => "record_too_large",
        }
    }

    /// The reason why the relay can't publish, if it can't.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Waiting | Self::Leading { .. } => None,
            Self::Failing { error, .. } | Self::RecordTooLarge { error, .. } => Some(error),
        }
    }
}

impl fmt::Display for RelayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => write!(f, "the relay waits for the lease"),
            Self::Leading { published } => {
                write!(f, "the relay leads and has published up to position {published}")
            }
            Self::Failing { error, since } => {
                write!(f, "the relay has not been able to publish since {since}: {error}")
            }
            Self::RecordTooLarge { position, bytes, since, error, .. } => write!(
                f,
                "the relay has waited since {since} before event {position}, whose {bytes} bytes of \
                 payload don't fit into a record: {error}"
            ),
        }
    }
}

/// An event that doesn't fit into a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct OversizedEvent {
    pub(super) position: Position,
    pub(super) bytes: usize,
    pub(super) limit: Option<u32>,
}

/// Reports the status of a relay, to subscribers and metrics.
pub(super) struct RelayReporter {
    status: watch::Sender<RelayStatus>,
    meter: RelayMeter,
    /// The event that the next failure is about, if it is about one that is too large.
    oversized: Mutex<Option<OversizedEvent>>,
}

impl RelayReporter {
    pub(super) fn new(status: watch::Sender<RelayStatus>, relay: &str) -> Self {
        let meter = RelayMeter::new(relay);
        meter.set_state(RelayStatus::Waiting.name());
        Self { status, meter, oversized: Mutex::default() }
    }

    pub(super) fn meter(&self) -> &RelayMeter {
        &self.meter
    }

    /// Sets the event that the next failure is about.
    pub(super) fn set_oversized(&self, event: Option<OversizedEvent>) {
        *self.oversized.lock().unwrap_or_else(PoisonError::into_inner) = event;
    }

    pub(super) fn waiting(&self) {
        self.report(|_| RelayStatus::Waiting);
    }

    pub(super) fn leading(&self, published: Position) {
        self.report(|_| RelayStatus::Leading { published });
    }

    /// Reports a failure. Successive failures keep the time of the first.
    pub(super) fn failing(&self, error: &Error, now: Timestamp) {
        let oversized = self.oversized.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.meter.failures.increment(1);
        self.report(|status| {
            let since = match status {
                RelayStatus::Failing { since, .. } | RelayStatus::RecordTooLarge { since, .. } => {
                    *since
                }
                _ => now,
            };
            let error = error.clone();
            match oversized {
                Some(OversizedEvent { position, bytes, limit }) => {
                    RelayStatus::RecordTooLarge { position, bytes, limit, error, since }
                }
                None => RelayStatus::Failing { error, since },
            }
        });
    }

    fn report(&self, next: impl FnOnce(&RelayStatus) -> RelayStatus) {
        self.status.send_modify(|status| {
            *status = next(status);
            self.meter.set_state(status.name());
        });
    }
}

#[cfg(test)]
mod tests {
    use highwater_core::error::Invalid;

    use super::*;

    #[test]
    fn a_status_is_displayed_as_a_sentence() {
        let error: Error = Invalid::configuration("the broker refuses it").into();
        let since = "2026-01-02T03:04:05Z".parse().unwrap();
        let position = Position::new(7);
        let failing = RelayStatus::Failing { error: error.clone(), since };
        let too_large = RelayStatus::RecordTooLarge {
            position,
            bytes: 9,
            limit: None,
            error: error.clone(),
            since,
        };
        let expected = [
            (RelayStatus::Waiting, "the relay waits for the lease".to_owned()),
            (
                RelayStatus::Leading { published: position },
                "the relay leads and has published up to position 7".to_owned(),
            ),
            (
                failing,
                format!(
                    "the relay has not been able to publish since 2026-01-02T03:04:05Z: {error}"
                ),
            ),
            (
                too_large,
                format!(
                    "the relay has waited since 2026-01-02T03:04:05Z before event 7, whose 9 bytes of \
                     payload don't fit into a record: {error}"
                ),
            ),
        ];
        for (status, sentence) in expected {
            assert_eq!(status.to_string(), sentence);
        }
    }

    #[test]
    fn successive_failures_keep_the_time_of_the_first() {
        let reporter = RelayReporter::new(watch::Sender::new(RelayStatus::Waiting), "log");
        let error: Error = Invalid::configuration("the broker refuses it").into();
        let second = |second| Timestamp::from_second(second).unwrap();
        let since = |status: &RelayStatus| match status {
            RelayStatus::Failing { since, .. } | RelayStatus::RecordTooLarge { since, .. } => {
                *since
            }
            other => panic!("{other}"),
        };
        reporter.failing(&error, second(1));
        let (position, bytes, limit) = (Position::new(7), 9, None);
        reporter.set_oversized(Some(OversizedEvent { position, bytes, limit }));
        reporter.failing(&error, second(2));
        assert_eq!(reporter.status.borrow().name(), "record_too_large");
        assert_eq!(since(&reporter.status.borrow()), second(1));
        reporter.leading(position);
        reporter.failing(&error, second(3));
        assert_eq!(reporter.status.borrow().name(), "failing");
        assert_eq!(since(&reporter.status.borrow()), second(3));
    }
}
