//! R1 through a real Kafka, on every store: a relay publishes the log, workers are fed by it.
#![cfg(feature = "kafka")]

use std::{env, io::Write as _, time::Duration};

use highwater::{
    Highwater, Worker,
    projections::{
        Options, Running,
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
        let relay = Publishing::start(bank, &kafka, &topics);
        while work_is_refused(bank, &kafka, &topics).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let first = work(bank, &kafka, &topics).await;
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

/// Until the relay has made the topic, a worker is told so.
async fn work_is_refused(bank: &Highwater, kafka: &Kafka, topics: &Topics) -> bool {
    let source = KafkaSource::new(bank, kafka.clone(), topics.clone());
    match Worker::on(bank).fed_by(source).view::<ByAccount>().start().await {
        Ok(worker) => {
            drop(worker);
            false
        }
        Err(error) => {
            assert_eq!(error.code(), highwater::Code::BAD_TOPIC, "{error}");
            true
        }
    }
}
