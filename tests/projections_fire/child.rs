//! A worker in a process of its own, to be killed. It is this test binary again, told by its
//! environment.

use std::{env, fs::File, future::Future, path::Path, process::Command, sync::Arc, time::Duration};

use highwater::{
    Highwater, Open as _, Result, Worker,
    projections::{DirectSource, OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    ledger::{ByAccount, ByCustomer, ByPartner},
    poison::Picky,
};

const ORDERS: &str = "HIGHWATER_FIRE_ORDERS";

/// How long a worker may be silent before others take over. Short, so that much happens.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Keeps the three views of the ledger.
    Ledger,
    /// Keeps a view that can't cope with some event.
    Broken,
    /// Keeps that view after the fix.
    Fixed,
    /// Publishes the log.
    #[cfg(feature = "kafka")]
    Relay,
}

/// Everything that a child is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) task: Task,
    /// The URL of the log.
    pub(crate) log: String,
    /// The URL of the store of the views, if it is another.
    pub(crate) views: Option<String>,
    /// The servers of Kafka, if views are fed from there.
    pub(crate) kafka: Option<String>,
    pub(crate) shards: u32,
}

impl Orders {
    /// Views beside the log and fed by it.
    pub(crate) fn direct(task: Task, url: &str, shards: u32) -> Self {
        Self { task, log: url.to_owned(), views: None, kafka: None, shards }
    }

    pub(crate) fn has_kafka(&self) -> bool {
        self.kafka.is_some()
    }

    /// The child that carries them out, its diary written to a file.
    pub(crate) fn command(&self, diary: &Path) -> Command {
        let diary = File::options().create(true).append(true).open(diary).unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["child::works_until_it_is_killed", "--exact", "--nocapture"])
            .env(ORDERS, serde_json::to_string(self).unwrap())
            .stdout(diary.try_clone().unwrap())
            .stderr(diary);
        command
    }

    /// The log with the views, wherever they are.
    pub(crate) async fn open(&self) -> Result<Highwater> {
        let log = Highwater::builder(&self.log).await?;
        let Some(views) = &self.views else { return Ok(log.build()) };
        let views = Highwater::open(views).await?;
        Ok(log.views(Arc::clone(views.views())).build())
    }
}

/// The child itself. Without its environment it is an empty test.
#[test]
fn works_until_it_is_killed() {
    let Ok(orders) = env::var(ORDERS) else { return };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .init();
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(carry_out(&orders));
}

async fn carry_out(orders: &Orders) {
    let mut told = signal(SignalKind::terminate()).unwrap();
    #[cfg(feature = "kafka")]
    if orders.task == Task::Relay {
        let bank = until_it_can(|| orders.open()).await;
        let stop = async move { told.recv().await.unwrap() };
        return crate::kafka::relay(&bank, orders).run(stop).await.unwrap();
    }
    let working = tokio::select! {
        working = until_it_can(|| begin(orders)) => working,
        _ = told.recv() => return,
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
        _ = told.recv() => {}
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
        Some(_) => worker.fed_by(crate::kafka::source(&bank, orders)),
        None => worker.fed_by(DirectSource::new(&bank).lease(LEASE)),
    };
    #[cfg(not(feature = "kafka"))]
    let worker = worker.fed_by(DirectSource::new(&bank).lease(LEASE));
    let options = ProjectionOptions::default().shards(orders.shards).batch(200);
    // A row that a zombie had spoilt would be written anew by whoever has it in memory, and look right.
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

/// Begins again as whoever looks after a service does, while the server can't be reached.
async fn until_it_can<T, F: Future<Output = Result<T>>>(begin: impl Fn() -> F) -> T {
    loop {
        match begin().await {
            Ok(begun) => return begun,
            Err(error) if error.is_retryable() => {
                println!("can't begin yet: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
