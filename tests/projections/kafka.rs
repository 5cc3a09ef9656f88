//! R1 through a real Kafka, on every store: a relay publishes the log, workers are fed by it.
#![cfg(feature = "kafka")]

use std::{env, io::Write as _, time::Duration};

use highwater::{
    Code, Highwater, Worker,
    projections::{
        Options, Running, State,
        kafka::{Kafka, KafkaSource, Relay, Topics},
    },
};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    bank::banks,
    divided::seed,
    ledger::{ByAccount, ByCustomer, ByPartner, compare_all, step},
};

/// A topic of its own on the broker that the environment names; what is missing is said loudly.
fn topic() -> Option<(Kafka, Topics)> {
    match env::var("HIGHWATER_TEST_KAFKA") {
        Ok(servers) => {
            let topic = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
            Some((Kafka::at(servers), topic))
        }
        Err(_) => {
            let required = env::var("HIGHWATER_REQUIRE_SERVICES").is_ok_and(|value| value == "1");
            assert!(!required, "HIGHWATER_TEST_KAFKA is not set");
            let _ = writeln!(std::io::stderr(), "SKIPPED with Kafka: no broker is named");
            None
        }
    }
}

struct Publishing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<highwater::Result<()>>,
}

impl Publishing {
    fn start(bank: &Highwater, kafka: &Kafka, topics: &Topics) -> Self {
        let relay = Relay::new(bank, kafka.clone(), topics.clone()).partitions(5);
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

async fn work(bank: &Highwater, kafka: &Kafka, topics: &Topics) -> Running {
    let options = Options::default().shards(3).batch(50);
    let source = KafkaSource::new(bank, kafka.clone(), topics.clone());
    Worker::on(bank)
        .fed_by(source.lease(Duration::from_millis(500)))
        .view_with::<ByAccount>(options)
        .view_with::<ByCustomer>(options)
        .view_with::<ByPartner>(options)
        .start()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_views_fed_by_kafka_are_the_fold_of_the_log_while_workers_and_relays_come_and_go() {
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

/// A worker that is there before the first relay waits for the topic, and says so.
async fn say_that_the_topic_is_missing(worker: &Running) {
    for status in worker.statuses() {
        let waits = |state: &State| matches!(state, State::Retrying { error, .. } if error.code() == Code::TOPIC_MISSING);
        status.clone().until(waits).await;
    }
}
