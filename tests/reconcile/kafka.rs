//! R6 with workers that are fed by Kafka.
#![cfg(feature = "kafka")]

use std::time::{Duration, Instant};

use highwater::{
    Highwater, View, Views as _, Worker,
    kafka::{Kafka, KafkaSource, Relay, Topics},
    worker::{OnDrift, ProjectionOptions, WorkerHandle},
};
use highwater_test_support::{
    bank::{Bank, banks},
    ledger::{ByAccount, ByCustomer, ByPartner, compare_all, step},
    run::seed,
    services,
};
use tokio::sync::oneshot;

use crate::{
    found::{assert_equal, verify_all},
    tampering::tamper,
};

async fn work(bank: &Highwater, kafka: &Kafka, topics: &Topics) -> WorkerHandle {
    let options = ProjectionOptions::default().shards(3).batch(50);
    let options = options.audited_within(Duration::from_secs(1)).on_drift(OnDrift::Repair);
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

/// Deletes a row, and waits until the auditor of its worker has found and repaired it.
async fn tamper_and_wait<V: View>(store: &Bank, bank: &Highwater, key: &str) {
    tamper::<V>(store, bank, key, None).await;
    let until = Instant::now() + Duration::from_secs(60);
    while !bank.view::<V>().verify().keys([key]).await.unwrap().is_equal() {
        assert!(Instant::now() < until, "{key} of {} is not repaired", V::NAME);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Deletes a row, and repairs it.
async fn tamper_and_repair<V: View>(store: &Bank, bank: &Highwater, key: &str) {
    tamper::<V>(store, bank, key, None).await;
    let report = bank.view::<V>().verify().keys([key]).await.unwrap();
    assert_eq!((report.parked_keys, report.unverified_keys), (0, 0), "{report}");
    let repair = bank.view::<V>().repair([key]).await.unwrap();
    assert!(repair.unverified.is_empty(), "{repair:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_views_fed_by_kafka_are_verified_and_repaired_during_traffic() {
    for store in banks() {
        let Some(servers) = services::kafka_servers("a view that is fed by Kafka") else { return };
        let kafka = Kafka::at(servers);
        let topics = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
        let bank = store.open().await;
        let relay = Relay::new(&bank, kafka.clone(), topics.clone()).partitions(5);
        let (stop, stopped) = oneshot::channel::<()>();
        let relay = tokio::spawn(relay.run(async move {
            let _ = stopped.await;
        }));
        let mut random = fastrand::Rng::with_seed(seed());
        for _ in 0..100 {
            step(&bank, &mut random).await;
        }
        let worker = work(&bank, &kafka, &topics).await;
        compare_all(&bank).await;
        for round in 0..20 {
            for _ in 0..10 {
                step(&bank, &mut random).await;
            }
            for report in verify_all(&bank).await {
                assert_equal(&report);
            }
            if round % 5 == 4 {
                let number = random.u32(..15);
                tamper_and_repair::<ByAccount>(&store, &bank, &format!("a{number}")).await;
                tamper_and_repair::<ByCustomer>(&store, &bank, &format!("c{number}")).await;
                tamper_and_repair::<ByPartner>(&store, &bank, &format!("p{number}")).await;
            }
        }
        compare_all(&bank).await;
        tamper_and_wait::<ByAccount>(&store, &bank, "a3").await;
        tamper_and_wait::<ByCustomer>(&store, &bank, "c3").await;
        tamper_and_wait::<ByPartner>(&store, &bank, "p3").await;
        for _ in 0..20 {
            step(&bank, &mut random).await;
        }
        compare_all(&bank).await;
        for report in verify_all(&bank).await {
            assert_equal(&report);
        }
        worker.stop().await.unwrap();
        let _ = stop.send(());
        relay.await.unwrap().unwrap();
    }
}
