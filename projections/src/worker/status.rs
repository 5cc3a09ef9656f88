//! The state of a projection in this worker.

use std::fmt;

use highwater_core::{
    Error, Position,
    domain::{ViewName, ViewSpec},
    value::ShardId,
};
use jiff::Timestamp;
use tokio::sync::watch;

use super::audit::{AuditRecord, AuditStatus};

/// The state of a projection in this worker.
#[derive(Debug, Clone)]
pub enum ProjectionState {
    /// Waits for other workers to release their shards, or reshards its view.
    Preparing,
    /// Builds a new generation of its view, because the definition has changed (R5).
    Rebuilding {
        /// The position from which on it is complete.
        complete_at: Position,
    },
    /// Works, or waits for events.
    Running,
    /// Retries a transient error, for ever: the whole projection, or a shard of it.
    Retrying {
        /// The last error.
        error: Error,
        /// The time of the first error in a row.
        since: Timestamp,
    },
    /// Stopped with an error that an operator must look at. Restart it afterwards.
    Stopped {
        /// The error.
        error: Error,
        /// The time of the error.
        at: Timestamp,
    },
    /// Ended by a shutdown.
    Ended,
}

impl ProjectionState {
    /// Returns true if the projection has stopped with an error.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }

    /// The name of the state in metrics and readiness.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Rebuilding { .. } => "rebuilding",
            Self::Running => "running",
            Self::Retrying { .. } => "retrying",
            Self::Stopped { .. } => "stopped",
            Self::Ended => "ended",
        }
    }

    /// The error that is retried, or that stopped the projection.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Retrying { error, .. } | Self::Stopped { error, .. } => Some(error),
            Self::Preparing | Self::Rebuilding { .. } | Self::Running | Self::Ended => None,
        }
    }
}

impl fmt::Display for ProjectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retrying { error, since } => write!(f, "retrying since {since}: {error}"),
            Self::Stopped { error, at } => write!(f, "stopped at {at}: {error}"),
            Self::Rebuilding { complete_at } => write!(f, "rebuilding, complete at {complete_at}"),
            Self::Preparing | Self::Running | Self::Ended => f.write_str(self.name()),
        }
    }
}

/// A state with the time at which it began.
#[derive(Clone)]
pub(super) struct TimedState {
    pub(super) state: ProjectionState,
    pub(super) since: Timestamp,
    /// The shards that don't run, with their states.
    pub(super) shards: Vec<(ShardId, ProjectionState)>,
}

/// The status of a projection in this worker, which it updates. Cheap to clone.
#[derive(Clone)]
pub struct ProjectionStatus {
    view: ViewName,
    generation: u32,
    current: watch::Receiver<TimedState>,
    audit: AuditRecord,
}

impl ProjectionStatus {
    pub(super) fn new(
        spec: &ViewSpec,
        current: watch::Receiver<TimedState>,
        audit: AuditRecord,
    ) -> Self {
        Self { view: spec.name.clone(), generation: spec.generation.number, current, audit }
    }

    pub(super) fn audit_record(&self) -> AuditRecord {
        self.audit.clone()
    }

    /// The name of the projection.
    #[must_use]
    pub fn view(&self) -> &ViewName {
        &self.view
    }

    /// The generation of the view that this program works on.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the current state: the worst of the projection and its shards in this worker.
    #[must_use]
    pub fn now(&self) -> ProjectionState {
        self.current.borrow().state.clone()
    }

    /// Returns the time at which the current state began.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.current.borrow().since
    }

    /// Returns the shards in this worker that don't run, with their states; none if all do.
    #[must_use]
    pub fn shards(&self) -> Vec<(ShardId, ProjectionState)> {
        self.current.borrow().shards.clone()
    }

    /// Returns what the auditor has found in this worker (R6). Drift doesn't change the state: the projection works.
    #[must_use]
    pub fn audit(&self) -> AuditStatus {
        self.audit.status()
    }

    /// Waits for a state and returns it. If the worker is gone, returns the last state.
    pub async fn until(&mut self, mut is: impl FnMut(&ProjectionState) -> bool) -> ProjectionState {
        let found = self.current.wait_for(|current| is(&current.state)).await;
        let found = found.map(|current| current.state.clone());
        found.unwrap_or_else(|_| self.now())
    }
}

/// The name and the state: "balances is running".
impl fmt::Display for ProjectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.view, self.now())
    }
}

impl fmt::Debug for ProjectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TimedState { state, since, .. } = self.current.borrow().clone();
        f.debug_struct("ProjectionStatus")
            .field("view", &self.view.as_str())
            .field("state", &state)
            .field("since", &since)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use highwater_core::{error::Invalid, port::Clock};

    use super::*;

    fn status(state: ProjectionState) -> ProjectionStatus {
        let timed = TimedState { state, since: Timestamp::UNIX_EPOCH, shards: Vec::new() };
        let view = ViewName::new("balances").unwrap();
        let clock: Arc<dyn Clock> = Arc::new(highwater_stores::SystemClock);
        let audit = AuditRecord::new(&view, &clock);
        ProjectionStatus::new(&ViewSpec::rows(view), watch::channel(timed).1, audit)
    }

    fn error() -> Error {
        Invalid::request("no table".to_owned()).into()
    }

    #[test]
    fn a_status_is_a_plain_sentence() {
        let since = Timestamp::UNIX_EPOCH;
        let sentence = |state| status(state).to_string();
        assert_eq!(sentence(ProjectionState::Preparing), "balances is preparing");
        assert_eq!(sentence(ProjectionState::Running), "balances is running");
        assert_eq!(sentence(ProjectionState::Ended), "balances is ended");
        assert_eq!(
            sentence(ProjectionState::Retrying { error: error(), since }),
            format!("balances is retrying since 1970-01-01T00:00:00Z: {}", error())
        );
        assert_eq!(
            sentence(ProjectionState::Stopped { error: error(), at: since }),
            format!("balances is stopped at 1970-01-01T00:00:00Z: {}", error())
        );
    }

    #[test]
    fn a_status_is_debugged_as_its_state_without_channels() {
        assert_eq!(
            format!("{:?}", status(ProjectionState::Running)),
            r#"ProjectionStatus { view: "balances", state: Running, since: 1970-01-01T00:00:00Z }"#
        );
    }
}
