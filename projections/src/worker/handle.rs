//! The handle of a started worker: statuses and shutdown.

use highwater_core::Result;
use tokio::{sync::watch, task::JoinSet};

use super::{ProjectionStatus, failure::outcome_of_join_error};

/// A started worker. Dropping it ends the work at any point: a commit under way is done or not.
#[must_use = "dropping the handle ends the work; `stop` ends it in order"]
pub struct WorkerHandle {
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<Result<()>>,
    statuses: Vec<ProjectionStatus>,
}

impl WorkerHandle {
    pub(super) fn new(shutdown: watch::Sender<bool>, statuses: Vec<ProjectionStatus>) -> Self {
        Self { shutdown, tasks: JoinSet::new(), statuses }
    }

    pub(super) fn spawn(&mut self, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Returns the status of each projection, in the order in which they were added.
    #[must_use]
    pub fn statuses(&self) -> &[ProjectionStatus] {
        &self.statuses
    }

    /// Returns the status of the projection of this name.
    #[must_use]
    pub fn status(&self, view: &str) -> Option<&ProjectionStatus> {
        self.statuses.iter().find(|status| status.view().as_str() == view)
    }

    /// Ends the work in order: shards are released, so that other workers can take over at once.
    ///
    /// # Errors
    /// The error of the first projection that has stopped.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.send_replace(true);
        let mut outcome = Ok(());
        while let Some(joined) = self.tasks.join_next().await {
            let ended = joined.unwrap_or_else(|error| outcome_of_join_error("worker", error));
            outcome = outcome.and(ended);
        }
        outcome
    }
}

impl std::fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerHandle").field("statuses", &self.statuses).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use highwater_core::domain::{ViewName, ViewSpec};
    use highwater_stores::{MemoryStore, SystemClock, on};

    use super::*;
    use crate::worker::{Worker, reporter::ProjectionReporter, shutdown::ShutdownSignal};

    #[test]
    fn a_worker_and_its_handle_are_debugged_without_locks_and_channels() {
        let (sender, _) = ShutdownSignal::new();
        let view = ViewName::new("balances").unwrap();
        let (_, status) =
            ProjectionReporter::new(&ViewSpec::rows(view), &(Arc::new(SystemClock) as Arc<_>));
        let handle = format!("{:?}", WorkerHandle::new(sender, vec![status]));
        let worker = format!("{:?}", Worker::new(&on(MemoryStore::default()).build()));
        assert!(handle.starts_with("WorkerHandle { statuses: [ProjectionStatus {"), "{handle}");
        assert!(worker.starts_with("Worker { id: WorkerId("), "{worker}");
        for internal in ["Mutex", "RwLock", "Sender", "Receiver", "JoinSet"] {
            assert!(!handle.contains(internal) && !worker.contains(internal), "{handle} {worker}");
        }
    }
}
