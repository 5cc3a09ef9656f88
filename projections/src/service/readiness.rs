//! Whether a service does what it should, and if not, why.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use highwater_core::Error;
use jiff::Timestamp;
use serde::Serialize;
#[cfg(feature = "kafka")]
use tokio::sync::watch;

#[cfg(feature = "kafka")]
use crate::kafka::{KafkaSource, RelayStatus};
use crate::{ProjectionState, ProjectionStatus};

/// Whether a service does what it should, and if not, why. This is what `/ready` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Whether all of it is ready.
    pub ready: bool,
    /// `starting`, `running` or `draining`.
    pub phase: &'static str,
    /// Each projection of each worker.
    pub projections: Vec<ProjectionReport>,
    /// Each relay.
    pub relays: Vec<RelayReport>,
}

/// How a projection fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProjectionReport {
    /// Its name.
    pub name: String,
    /// Whether it works, or waits for events.
    pub ready: bool,
    /// Its state: `preparing`, `running`, `retrying`, `stopped`, `ended`.
    pub state: &'static str,
    /// Since when.
    pub since: Timestamp,
    /// How its connection to Kafka fares, if it is fed from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<&'static str>,
    /// What is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// How a relay fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RelayReport {
    /// Whether it leads, or waits for another to stop leading.
    pub ready: bool,
    /// Its state: `waiting`, `leading`, `failing`.
    pub state: &'static str,
    /// Since when, if it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// An error, as readiness tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The stable code, which has a page.
    pub code: &'static str,
    /// What has happened.
    pub message: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { code: error.code().as_str(), message: error.to_string() }
    }
}

/// What a service consists of, for whoever asks how it fares.
#[derive(Clone, Default)]
pub(super) struct Board(Arc<Mutex<Parts>>);

#[derive(Default)]
struct Parts {
    phase: Phase,
    projections: Vec<ProjectionStatus>,
    #[cfg(feature = "kafka")]
    sources: Vec<KafkaSource>,
    #[cfg(feature = "kafka")]
    relays: Vec<watch::Receiver<RelayStatus>>,
}

/// Where a service is between its start and its end.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Starting,
    Running,
    Draining,
}

impl Board {
    pub(super) fn enter(&self, phase: Phase) {
        self.parts().phase = phase;
    }

    pub(super) fn projections(&self, statuses: &[ProjectionStatus]) {
        self.parts().projections.extend_from_slice(statuses);
    }

    #[cfg(feature = "kafka")]
    pub(super) fn sources(&self, sources: Vec<KafkaSource>) {
        self.parts().sources = sources;
    }

    #[cfg(feature = "kafka")]
    pub(super) fn relay(&self, status: watch::Receiver<RelayStatus>) {
        self.parts().relays.push(status);
    }

    /// How everything fares now.
    pub(super) fn report(&self) -> Report {
        let parts = self.parts();
        let projections: Vec<_> =
            parts.projections.iter().map(|status| parts.projection(status)).collect();
        #[cfg(feature = "kafka")]
        let relays: Vec<_> = parts.relays.iter().map(|status| relay(&status.borrow())).collect();
        #[cfg(not(feature = "kafka"))]
        let relays: Vec<RelayReport> = Vec::new();
        let phase = match parts.phase {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Draining => "draining",
        };
        let ready = parts.phase == Phase::Running
            && projections.iter().all(|projection| projection.ready)
            && relays.iter().all(|relay| relay.ready);
        Report { ready, phase, projections, relays }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn projection(&self, status: &ProjectionStatus) -> ProjectionReport {
        let (state, kafka) = (status.now(), self.kafka(status));
        let is_fed = kafka.is_none_or(|state| FED.contains(&state));
        ProjectionReport {
            name: status.view().to_string(),
            ready: matches!(state, ProjectionState::Running) && is_fed,
            state: state.name(),
            since: status.since(),
            kafka,
            error: state.error().map(Failure::from),
        }
    }

    #[cfg(feature = "kafka")]
    fn kafka(&self, status: &ProjectionStatus) -> Option<&'static str> {
        self.sources.iter().find_map(|source| source.known(status.view())).map(|state| state.name())
    }

    #[cfg(not(feature = "kafka"))]
    #[expect(clippy::unused_self, reason = "there are no sources to look at")]
    fn kafka(&self, _: &ProjectionStatus) -> Option<&'static str> {
        None
    }
}

/// The states of a source in which events arrive, from the topic or from the store.
const FED: &[&str] = &["connecting", "consuming", "filling", "truncated", "topic_recreated"];

#[cfg(feature = "kafka")]
fn relay(status: &RelayStatus) -> RelayReport {
    let (since, error) = match status {
        RelayStatus::Failing { error, since }
        | RelayStatus::RecordTooLarge { error, since, .. } => {
            (Some(*since), Some(Failure::from(error)))
        }
        RelayStatus::Waiting | RelayStatus::Leading { .. } => (None, None),
    };
    RelayReport { ready: error.is_none(), state: status.name(), since, error }
}
