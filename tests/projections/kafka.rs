//! R1 through a real Kafka, on every store: a relay publishes the log, and workers consume it.
#![cfg(feature = "kafka")]

use std::time::Duration;

use highwater::{
    Code, Highwater, View as _, Worker,
    direct::DirectSource,
    domain::ViewName,
    kafka::{Kafka, KafkaSource, Relay, Topics},
    port::WorkerId,
    worker::{ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{
    bank::banks,
    ledger::{ByAccount, ByCustomer, ByPartner, compare, compare_all, expected, step},
    services,
};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::sharding::seed;

/// The number of partitions of the topic of a test.
const PARTITIONS: u32 = 5;

/// Returns the topic of a test on the broker of the environment. Prints a notice if there is none.
fn topic() -> Option<(Kafka, Topics)> {
    let servers = services::kafka_servers("a view that is fed by Kafka")?;
    let topic = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
    Some((Kafka::at(servers), topic))
}

struct Publishing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<highwater::Result<()>>,
}

impl Publishing {
    fn start(bank: &Highwater, kafka: &Kafka, topics: &Topics) -> Self {
        let relay = Relay::new(bank, kafka.clone(), topics.clone()).partitions(PARTITIONS);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(relay.run(async move {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

async fn work(bank: &Highwater, kafka: &Kafka, topics: &Topics) -> WorkerHandle {
    let options = ProjectionOptions::default().shards(3).batch(50);
    let source = KafkaSource::new(bank, kafka.clone(), topics.clone());
    Worker::new(bank)
        .fed_by(source.lease(Duration::from_millis(500)))
        .view_with::<ByAccount>(options)
        .view_with::<ByCustomer>(options)
        .view_with::<ByPartner>(options)
        .start()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_views_fed_by_kafka_are_the_fold_of_the_log_while_workers_and_relays_join_and_leave() {
    for store in banks() {
        let Some((kafka, topics)) = topic() else { return };
        let handles = [store.open().await, store.open().await];
        let bank = &handles[0];
        let mut random = fastrand::Rng::with_seed(seed());
        let first = work(bank, &kafka, &topics).await;
        say_that_the_topic_is_missing(&first).await;
        let relay = Publishing::start(bank, &kafka, &topics);
        for _ in 0..150 {
            step(bank, &mut random).await;
        }
        let second = work(&handles[1], &kafka, &topics).await;
        let other_relay = Publishing::start(&handles[1], &kafka, &topics);
        for _ in 0..150 {
            step(bank, &mut random).await;
        }
        drop(first);
        relay.stop().await;
        for _ in 0..150 {
            step(bank, &mut random).await;
        }
        compare_all(bank).await;
        second.stop().await.unwrap();
        other_relay.stop().await;
    }
}

/// Checks the report of a worker that starts before the first relay: it waits for the topic.
async fn say_that_the_topic_is_missing(worker: &WorkerHandle) {
    for status in worker.statuses() {
        let waits = |state: &ProjectionState| matches!(state, ProjectionState::Retrying { error, .. } if error.code() == Code::TOPIC_MISSING);
        status.clone().until(waits).await;
    }
}

/// Returns the holder of each shard of a view, by its leases.
async fn holders(bank: &Highwater) -> Vec<WorkerId> {
    let (view, onlooker) = (ViewName::new(ByAccount::NAME).unwrap(), WorkerId::new("~").unwrap());
    let roll = bank.views().heartbeat(&view, &onlooker, Duration::ZERO).await.unwrap();
    roll.holders.into_iter().flatten().collect()
}

/// Waits until one worker that is not among `others` holds every shard, and returns its id.
async fn one_holds_all(bank: &Highwater, others: &[WorkerId]) -> WorkerId {
    let held = async {
        loop {
            let holders = holders(bank).await;
            let first = holders.first().filter(|first| !others.contains(first)).cloned();
            match first {
                Some(first) if holders == vec![first.clone(); PARTITIONS as usize] => return first,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), held).await.unwrap()
}

/// Switches a view from one feed to the other by the configuration of a worker. While both feeds
/// have workers the consumer group has the shards, because its members send heartbeats. When they
/// are gone the other worker takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_a_view_switches_from_the_direct_feed_to_kafka_and_back() {
    for store in banks() {
        let Some((kafka, topics)) = topic() else { return };
        let (bank, other) = (store.open().await, store.open().await);
        let relay = Publishing::start(&bank, &kafka, &topics);
        let mut random = fastrand::Rng::with_seed(seed());
        let (options, lease) =
            (ProjectionOptions::default().shards(PARTITIONS).batch(50), Duration::from_millis(500));
        let direct = DirectSource::new(&bank).lease(lease);
        let direct = Worker::new(&bank).fed_by(direct).view_with::<ByAccount>(options);
        let direct = direct.start().await.unwrap();
        for _ in 0..100 {
            step(&bank, &mut random).await;
        }
        let first = one_holds_all(&bank, &[]).await;
        let source = KafkaSource::new(&other, kafka, topics).lease(lease);
        let grouped = Worker::new(&other).fed_by(source).view_with::<ByAccount>(options);
        let grouped = grouped.start().await.unwrap();
        let second = one_holds_all(&bank, std::slice::from_ref(&first)).await;
        for _ in 0..100 {
            step(&bank, &mut random).await;
        }
        compare_by_account(&bank).await;
        grouped.stop().await.unwrap();
        assert_eq!(one_holds_all(&bank, &[second]).await, first);
        for _ in 0..100 {
            step(&bank, &mut random).await;
        }
        compare_by_account(&bank).await;
        direct.stop().await.unwrap();
        relay.stop().await;
    }
}

async fn compare_by_account(bank: &Highwater) {
    let right = expected(&**bank.log()).await;
    let accounts = (0..40).map(|number| format!("a{number}"));
    compare(bank, &right.by_account, right.head, accounts).await;
}
