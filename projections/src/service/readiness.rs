//! The health of a service, as `/ready` reports it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use highwater_core::{Error, value::ShardId};
use jiff::Timestamp;
use serde::Serialize;
#[cfg(feature = "kafka")]
use tokio::sync::watch;

#[cfg(feature = "kafka")]
use crate::kafka::{KafkaSource, RelayStatus};
use crate::worker::{AuditStatus, ProjectionState, ProjectionStatus};

/// The health of a service: the response of `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// True if all components are ready.
    pub ready: bool,
    /// `starting`, `running` or `draining`.
    pub phase: &'static str,
    /// The projections of all workers.
    pub projections: Vec<ProjectionReport>,
    /// The relays.
    pub relays: Vec<RelayReport>,
}

/// The health of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProjectionReport {
    /// The projection's name.
    pub name: String,
    /// True if the projection applies events, or waits for them.
    pub ready: bool,
    /// The state: `preparing`, `rebuilding`, `running`, `retrying`, `stopped`, `ended`.
    pub state: &'static str,
    /// The generation of the view that this program works on, if that isn't the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// The time of the last change of state.
    pub since: Timestamp,
    /// The state of the connection to Kafka, if that is the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<&'static str>,
    /// The error that keeps it from being ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The shards in this process that don't run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardReport>,
    /// The rows that the auditor has found not to be the fold of their events. The projection is ready nevertheless: it
    /// applies events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftReport>,
}

/// The drift that the auditor of a projection has found in this process (R6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DriftReport {
    /// The number of rows; 10,000 if there are more.
    pub rows: usize,
    /// The keys of the first of them.
    pub keys: Vec<String>,
    /// The time at which the first of them was found.
    pub since: Option<Timestamp>,
}

/// The health of a shard that doesn't run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShardReport {
    /// The number of the shard.
    pub shard: u32,
    /// The state, as that of a projection.
    pub state: &'static str,
    /// The error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// The health of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RelayReport {
    /// True if the relay leads, or waits for the lead.
    pub ready: bool,
    /// The state: `waiting`, `leading`, `failing`.
    pub state: &'static str,
    /// The time since which the relay fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The error that keeps it from being ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// An error in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The stable code, which has a page in the documentation.
    pub code: &'static str,
    /// The error's message.
    pub message: String,
}

/// The phase, followed by the components that are not ready.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.phase)?;
        let mut projections = self.projections.iter().filter(|one| !one.ready);
        projections.try_for_each(|one| write!(f, "; {one}"))?;
        let mut relays = self.relays.iter().filter(|one| !one.ready);
        relays.try_for_each(|one| write!(f, "; {one}"))
    }
}

impl fmt::Display for ProjectionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "projection {} is {} since {}", self.name, self.state, self.since)?;
        self.kafka.iter().try_for_each(|kafka| write!(f, ", Kafka is {kafka}"))?;
        self.error.iter().try_for_each(|error| write!(f, ": {error}"))?;
        self.shards
            .iter()
            .try_for_each(|shard| write!(f, "; its shard {} is {}", shard.shard, shard.state))
    }
}

impl fmt::Display for RelayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relay is {}", self.state)?;
        self.since.iter().try_for_each(|since| write!(f, " since {since}"))?;
        self.error.iter().try_for_each(|error| write!(f, ": {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

impl From<(ShardId, ProjectionState)> for ShardReport {
    fn from((shard, state): (ShardId, ProjectionState)) -> Self {
        let error = state.error().map(Failure::from);
        Self { shard: shard.get(), state: state.name(), error }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { code: error.code().as_str(), message: error.to_string() }
    }
}

/// The health of the components of a service, shared with the endpoint.
#[derive(Clone, Default)]
pub(super) struct Health(Arc<Mutex<HealthState>>);

#[derive(Default)]
struct HealthState {
    phase: Phase,
    projections: Vec<ProjectionStatus>,
    #[cfg(feature = "kafka")]
    sources: Vec<KafkaSource>,
    #[cfg(feature = "kafka")]
    relays: Vec<watch::Receiver<RelayStatus>>,
}

/// The phases of a service.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Starting,
    Running,
    Draining,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
        }
    }
}

impl Health {
    pub(super) fn enter(&self, phase: Phase) {
        self.state().phase = phase;
    }

    pub(super) fn projections(&self, statuses: &[ProjectionStatus]) {
        self.state().projections.extend_from_slice(statuses);
    }

    #[cfg(feature = "kafka")]
    pub(super) fn sources(&self, sources: Vec<KafkaSource>) {
        self.state().sources = sources;
    }

    #[cfg(feature = "kafka")]
    pub(super) fn relay(&self, status: watch::Receiver<RelayStatus>) {
        self.state().relays.push(status);
    }

    /// Returns the current health.
    pub(super) fn report(&self) -> Report {
        let state = self.state();
        let projections: Vec<_> =
            state.projections.iter().map(|status| state.projection(status)).collect();
        #[cfg(feature = "kafka")]
        let relays: Vec<_> = state.relays.iter().map(|status| relay(&status.borrow())).collect();
        #[cfg(not(feature = "kafka"))]
        let relays: Vec<RelayReport> = Vec::new();
        let ready = state.phase == Phase::Running
            && projections.iter().all(|projection| projection.ready)
            && relays.iter().all(|relay| relay.ready);
        Report { ready, phase: state.phase.name(), projections, relays }
    }

    fn state(&self) -> MutexGuard<'_, HealthState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HealthState {
    fn projection(&self, status: &ProjectionStatus) -> ProjectionReport {
        let state = status.now();
        let kafka = self.kafka(status);
        let is_fed = kafka.is_none_or(|state| FEEDING_STATES.contains(&state));
        ProjectionReport {
            name: status.view().to_string(),
            ready: matches!(state, ProjectionState::Running) && is_fed,
            state: state.name(),
            generation: Some(status.generation()).filter(|generation| *generation > 1),
            since: status.since(),
            kafka,
            error: state.error().map(Failure::from),
            shards: status.shards().into_iter().map(ShardReport::from).collect(),
            drift: drift(status.audit()),
        }
    }

    #[cfg(feature = "kafka")]
    fn kafka(&self, status: &ProjectionStatus) -> Option<&'static str> {
        self.sources
            .iter()
            .find_map(|source| source.known(&status.view().of_generation(status.generation())))
            .map(|state| state.name())
    }

    #[cfg(not(feature = "kafka"))]
    #[expect(clippy::unused_self, reason = "there are no sources")]
    fn kafka(&self, _: &ProjectionStatus) -> Option<&'static str> {
        None
    }
}

/// Returns a report if a row has drifted.
fn drift(audit: AuditStatus) -> Option<DriftReport> {
    let AuditStatus { drifted: mut keys, drifted_since: since, .. } = audit;
    let rows = keys.len();
    keys.truncate(MAX_DRIFTED_KEYS);
    (rows > 0).then_some(DriftReport { rows, keys, since })
}

/// The largest number of drifted keys in a report.
const MAX_DRIFTED_KEYS: usize = 10;

/// The states of a source in which events arrive, from the topic or from the store.
const FEEDING_STATES: &[&str] =
    &["connecting", "consuming", "filling", "truncated", "topic_recreated", "partitions_added"];

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
