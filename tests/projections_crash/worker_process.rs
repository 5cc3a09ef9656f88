//! A worker or a relay in another process, to be killed.

use std::{path::Path, process::Command, time::Duration};

use highwater::{
    Highwater, Result, Worker,
    direct::DirectSource,
    worker::{OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{
    clock::SetClock,
    fleet::WorkerProgram,
    ledger::{ByAccount, ByCustomer, ByPartner},
    machine::MachineFile,
    process, worker,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    effects::{Effects, MOST_PARKED},
    poison::Picky,
};

/// The lease of a shard. Short, so that many takeovers happen.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// The task of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Maintains the three views of the ledger.
    Ledger,
    /// Maintains these views, and writes effects to the application's tables.
    LedgerAndEffects,
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
    /// The machines on which the processes run in turn; without any, nothing is wrong with theirs.
    pub(crate) machines: Vec<MachineFile>,
}

impl Orders {
    /// Returns the task for views in the store of the log, fed by it directly.
    pub(crate) fn direct(task: Task, url: &str, shards: u32) -> Self {
        let (log, machines) = (url.to_owned(), Vec::new());
        Self { task, log, views: None, kafka: None, shards, machines }
    }

    /// Opens the log with the views.
    pub(crate) async fn open(&self) -> Result<Highwater> {
        worker::open(&self.log, self.views.as_deref()).await
    }

    /// Opens the log with the views by the clock of the first machine.
    async fn open_by(&self, clock: &SetClock) -> Result<Highwater> {
        worker::open_by(clock, &self.log, self.views.as_deref()).await
    }
}

impl WorkerProgram for Orders {
    /// Gives each process one of the machines, by the number in the name of its log.
    fn command(&self, log: &Path) -> Command {
        let number = log.to_string_lossy().rsplit('-').next().and_then(|text| text.parse().ok());
        let mut orders = self.clone();
        orders.machines.rotate_left(number.unwrap_or(0) % self.machines.len().max(1));
        process::child_logging_to(log, "worker_process::works_until_it_is_killed", &orders)
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
    let machine = orders.machines.first();
    let clock = machine.map(MachineFile::clock).unwrap_or_default();
    let bank = tokio::select! {
        bank = worker::retry(|| orders.open_by(&clock)) => bank,
        _ = terminate.recv() => return,
    };
    if let Some(machine) = machine.filter(|_| orders.log.starts_with("sqlite:")) {
        machine.limit_disk_of(bank.log());
    }
    let working = tokio::select! {
        working = worker::retry(|| begin(orders, &bank)) => working,
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

async fn begin(orders: &Orders, bank: &Highwater) -> Result<WorkerHandle> {
    let worker = Worker::new(bank);
    #[cfg(feature = "kafka")]
    let worker = match orders.kafka {
        Some(_) => worker.fed_by(crate::kafka_feed::source(bank, orders)),
        None => worker.fed_by(DirectSource::new(bank).lease(LEASE)),
    };
    #[cfg(not(feature = "kafka"))]
    let worker = worker.fed_by(DirectSource::new(bank).lease(LEASE));
    let options = ProjectionOptions::default().shards(orders.shards).batch(200);
    // With a large cache the owner of a row would overwrite it after a zombie had corrupted it, and
    // hide the fault.
    let forgetful = ProjectionOptions { cached_rows: 10, ..options };
    let worker = match orders.task {
        Task::LedgerAndEffects => {
            let parking = options.on_failure(OnFailure::Park { at_most: MOST_PARKED });
            worker.projection(Effects::of(&orders.log), parking)
        }
        _ => worker,
    };
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
