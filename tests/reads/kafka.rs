//! R2, R4: a parked key of a view that is fed by a real Kafka.
#![cfg(feature = "kafka")]

use std::time::Duration;

use highwater::{
    Code, Highwater, Position, Views as _, Worker,
    consistency::Basis,
    kafka::{Kafka, KafkaSource, Relay, Topics},
    value::FreshnessStatus,
    worker::{OnFailure, ProjectionOptions},
};
use highwater_test_support::{bank::banks, services};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::views::{Parity, deposit};

struct Publishing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<highwater::Result<()>>,
}

impl Publishing {
    fn start(bank: &Highwater, kafka: &Kafka, topics: &Topics) -> Self {
        let relay = Relay::new(bank, kafka.clone(), topics.clone()).partitions(3);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(relay.run(async { drop(stopped.await) }));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_kafka_a_parked_key_is_degraded_since_its_event_and_others_are_current() {
    let test = "r4_kafka_a_parked_key_is_degraded_since_its_event_and_others_are_current";
    let Some(servers) = services::kafka_servers(test) else { return };
    for bank in banks() {
        let bank = bank.open().await;
        let (kafka, topics) =
            (Kafka::at(&servers), Topics::one(format!("test-{:016x}", fastrand::u64(..))));
        let relay = Publishing::start(&bank, &kafka, &topics);
        let options =
            ProjectionOptions::default().shards(3).on_failure(OnFailure::Park { at_most: 10 });
        let worker = Worker::new(&bank).fed_by(KafkaSource::new(&bank, kafka, topics));
        let worker = worker.view_with::<Parity>(options).start().await.unwrap();
        deposit(&bank, "alice", 2).await;
        let since = deposit(&bank, "bob", 666).await.position();
        deposit(&bank, "alice", 4).await;
        let last = deposit(&bank, "carol", 3).await;
        one_is_degraded(&bank, since, &last).await;
        worker.stop().await.unwrap();
        relay.stop().await;
    }
}

async fn one_is_degraded(bank: &Highwater, since: Position, last: &highwater::Receipt) {
    let get = |key: &str| bank.view::<Parity>().get(key).after(last).within(LONG);
    for key in ["odd", "none"] {
        let found = get(key).find().await.unwrap();
        assert_eq!(
            (found.freshness().status(), found.basis()),
            (FreshnessStatus::Current, Basis::View)
        );
        let strong = get(key).strong().find().await.unwrap();
        assert_eq!(
            (strong.freshness().status(), strong.basis()),
            (FreshnessStatus::Current, Basis::View)
        );
    }
    assert_eq!(get("odd").await.unwrap().cents, 3);
    let even = get("even").await.unwrap();
    assert_eq!((even.cents, even.freshness().status()), (2, FreshnessStatus::Degraded(since)));
    assert_eq!(even.basis(), Basis::Stale, "the row is older than the token");
    let eventual = bank.view::<Parity>().get("even").await.unwrap();
    assert_eq!(eventual.freshness().status(), FreshnessStatus::Degraded(since));
    for refused in [get("even").strong(), get("even").bounded(LONG)] {
        assert_eq!(refused.await.unwrap_err().code(), Code::PARKED);
    }
    let both = bank.view::<Parity>().get_many(["odd", "even"]).after(last).await.unwrap();
    assert_eq!(both.parked, [("even".to_owned(), since)]);
}

const LONG: Duration = Duration::from_secs(120);
