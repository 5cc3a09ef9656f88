//! A relay, a worker or a reader in another process, to be killed.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use highwater::{
    Highwater, Result, Worker,
    kafka::{Kafka, KafkaSource, Relay, Topics},
    worker::{OnFailure, ProjectionOptions, WorkerHandle},
};
use highwater_test_support::{bank::Balance, fleet::WorkerProgram, process, tally::Tally, worker};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::{clients, lagging_feed::Lagging};

/// The lease of a relay or a shard. Short, so that many takeovers happen.
pub(crate) const LEASE: Duration = Duration::from_secs(1);
/// The session timeout of a member of a group.
pub(crate) const SESSION: Duration = Duration::from_secs(2);
/// The number of partitions of the topic.
pub(crate) const PARTITIONS: u32 = 4;
/// The interval of the marks of an idle relay.
const IDLE_INTERVAL: Duration = Duration::from_millis(200);

/// The leases, sessions and waits of the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Timeouts {
    /// Short ones, so that many takeovers happen.
    Short,
    /// Those that a program has if it sets none.
    Default,
}

/// The task of a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Publishes the log.
    Relay,
    /// Maintains the balances and the tallies. Each page is delayed by at most this lag.
    Worker { lag: Duration },
    /// Reads all notes of a file.
    Reader { notes: PathBuf },
}

/// The complete task of a child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) task: Task,
    /// The URL of the log.
    pub(crate) log: String,
    /// The URL of the store of the views, if it is another.
    pub(crate) views: Option<String>,
    /// The servers of Kafka.
    pub(crate) kafka: String,
    /// The seed of the random choices.
    pub(crate) seed: u64,
    pub(crate) timeouts: Timeouts,
}

impl Orders {
    /// Opens the log with the views in their store.
    pub(crate) async fn open(&self) -> Result<Highwater> {
        worker::open(&self.log, self.views.as_deref()).await
    }

    fn client(&self) -> (Kafka, Topics) {
        let kafka = Kafka::at(&self.kafka);
        let kafka = match self.timeouts {
            Timeouts::Default => kafka,
            Timeouts::Short => kafka
                .setting("session.timeout.ms", SESSION.as_millis().to_string())
                .setting("heartbeat.interval.ms", "400")
                .setting("topic.metadata.refresh.interval.ms", "1000"),
        };
        (kafka, Topics::one("bank"))
    }

    fn relay(&self, bank: &Highwater) -> Relay {
        let (kafka, topics) = self.client();
        let relay = Relay::new(bank, kafka, topics).partitions(PARTITIONS);
        match self.timeouts {
            Timeouts::Default => relay,
            Timeouts::Short => relay.lease(LEASE).idle_interval(IDLE_INTERVAL),
        }
    }

    fn source(&self, bank: &Highwater) -> KafkaSource {
        let (kafka, topics) = self.client();
        let source = KafkaSource::new(bank, kafka, topics);
        match self.timeouts {
            Timeouts::Default => source,
            Timeouts::Short => source.lease(LEASE),
        }
    }
}

impl WorkerProgram for Orders {
    /// Derives the seed of each process from the number in the name of its log.
    fn command(&self, log: &Path) -> Command {
        let number: String = log.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        let seed = self.seed ^ number.bytes().map(u64::from).sum::<u64>();
        let orders = Self { seed, ..self.clone() };
        process::child_logging_to(log, "processes::works_until_it_is_killed", &orders)
    }

    fn uses_kafka(&self) -> bool {
        !self.kafka.is_empty()
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
    let bank = tokio::select! {
        bank = worker::retry(|| orders.open()) => bank,
        _ = terminate.recv() => return,
    };
    let stop = async move { terminate.recv().await.unwrap() };
    match &orders.task {
        Task::Relay => orders.relay(&bank).run(stop).await.unwrap(),
        Task::Worker { lag } => work(&bank, orders, *lag, stop).await,
        Task::Reader { notes } => clients::read_all(&bank, notes).await,
    }
}

async fn work(bank: &Highwater, orders: &Orders, lag: Duration, stop: impl Future<Output = ()>) {
    let begin = || {
        let source = orders.source(bank);
        let options = ProjectionOptions::default().shards(2).on_failure(OnFailure::Stop);
        Worker::new(bank)
            .fed_by(Lagging::new(source, lag, orders.seed))
            .view_with::<Balance>(options)
            .view_with::<Tally>(options)
            .start()
    };
    let mut stop = std::pin::pin!(stop);
    let working: WorkerHandle = tokio::select! {
        working = worker::retry(begin) => working,
        () = &mut stop => return,
    };
    stop.await;
    if let Err(error) = working.stop().await {
        assert!(error.is_retryable(), "{error}");
    }
}
