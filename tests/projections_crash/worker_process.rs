//! A worker or a relay in another process, to be killed.

use std::{path::Path, process::Command, time::Duration};

use highwater::{
    Highwater, Result, Worker,
    direct::DirectSource,
    worker::{OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{
    fleet::WorkerProgram,
    ledger::{ByAccount, ByCustomer, ByPartner},
    process, worker,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::poison::Picky;

/// The lease of a shard. Short, so that many takeovers happen.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// The task of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Maintains the three views of the ledger.
    Ledger,
    /// Maintains a view that fails on one event.
    Broken,
    /// Maintains that view after the fix.
    Fixed,
    /// Publishes the log.
    #[cfg(feature = "kafka")]
    Relay,
}

/// The complete task of a child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) task: Task,
    /// The URL of the log.
    pub(crate) log: String,
    /// The URL of the store of the views, if it is a separate one.
    pub(crate) views: Option<String>,
    /// The servers of Kafka, if it feeds the views.
    pub(crate) kafka: Option<String>,
    pub(crate) shards: u32,
}

impl Orders {
    /// Returns the task for views in the store of the log, fed by it directly.
    pub(crate) fn direct(task: Task, url: &str, shards: u32) -> Self {
        Self { task, log: url.to_owned(), views: None, kafka: None, shards }
    }

    /// Opens the log with the views.
    pub(crate) async fn open(&self) -> Result<Highwater> {
        worker::open(&self.log, self.views.as_deref()).await
    }
}

impl WorkerProgram for Orders {
    fn command(&self, log: &Path) -> Command {
        process::child_logging_to(log, "worker_process::works_until_it_is_killed", self)
    }

    fn uses_kafka(&self) -> bool {
        self.kafka.is_some()
    }
}

/// Runs as the child process.
#[test]
fn works_until_it_is_killed() {
    if let Some(orders) = process::task::<Orders>() {
        process::run(carry_out(&orders));
    }
}

async fn carry_out(orders: &Orders) {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    #[cfg(feature = "kafka")]
    if orders.task == Task::Relay {
        let bank = worker::retry(|| orders.open()).await;
        let stop = async move { terminate.recv().await.unwrap() };
        return crate::kafka_feed::relay(&bank, orders).run(stop).await.unwrap();
    }
    let working = tokio::select! {
        working = worker::retry(|| begin(orders)) => working,
        _ = terminate.recv() => return,
    };
    let stopped = working.statuses().to_vec().into_iter().map(|mut status| {
        Box::pin(async move {
            if let ProjectionState::Stopped { error, .. } =
                status.until(ProjectionState::is_stopped).await
            {
                panic!("{} has stopped: {error}", status.view());
            }
            std::future::pending::<()>().await;
        })
    });
    tokio::select! {
        _ = futures_util::future::select_all(stopped) => {}
        _ = terminate.recv() => {}
    }
    if let Err(error) = working.stop().await {
        assert!(error.is_retryable(), "{error}");
    }
}

async fn begin(orders: &Orders) -> Result<WorkerHandle> {
    let bank = orders.open().await?;
    let worker = Worker::new(&bank);
    #[cfg(feature = "kafka")]
    let worker = match orders.kafka {
        Some(_) => worker.fed_by(crate::kafka_feed::source(&bank, orders)),
        None => worker.fed_by(DirectSource::new(&bank).lease(LEASE)),
    };
    #[cfg(not(feature = "kafka"))]
    let worker = worker.fed_by(DirectSource::new(&bank).lease(LEASE));
    let options = ProjectionOptions::default().shards(orders.shards).batch(200);
    // With a large cache the owner of a row would overwrite it after a zombie had corrupted it, and
    // hide the fault.
    let forgetful = ProjectionOptions { cached_rows: 10, ..options };
    let worker = match orders.task {
        Task::Broken | Task::Fixed => {
            Picky::fixed(orders.task == Task::Fixed);
            worker.view_with::<Picky>(options.on_failure(OnFailure::Park { at_most: 10 }))
        }
        _ => worker
            .view_with::<ByAccount>(options)
            .view_with::<ByCustomer>(forgetful)
            .view_with::<ByPartner>(forgetful),
    };
    worker.start().await
}
