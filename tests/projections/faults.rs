//! R1 under injected faults, on every store: failed commits, lost responses, repeated events, and
//! shards that are taken over.
#![cfg(feature = "testing")]

use highwater::{
    Worker,
    testing::{ProjectionTest, WorkerFaults},
    worker::{Backoff, ProjectionOptions},
};
use highwater_test_support::{
    bank::{AccountEvent, Balance, banks},
    ledger::{ByAccount, ByCustomer, ByPartner, compare_all, step},
};
use std::time::Duration;

use crate::sharding::seed;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_views_are_the_fold_of_the_log_under_every_fault() {
    for store in banks() {
        let (bank, seed) = (store.open().await, seed());
        let mut random = fastrand::Rng::with_seed(seed);
        let backoff = Backoff {
            min_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(10),
            ..Backoff::default()
        };
        let options =
            ProjectionOptions { backoff, ..ProjectionOptions::default().shards(3).batch(11) };
        let worker = || {
            Worker::new(&bank)
                .view_with::<ByAccount>(options)
                .view_with::<ByCustomer>(options)
                .view_with::<ByPartner>(options)
                .with_faults(&WorkerFaults::all(seed))
                .start()
        };
        let workers = [worker().await.unwrap(), worker().await.unwrap()];
        for _ in 0..400 {
            step(&bank, &mut random).await;
        }
        compare_all(&bank).await;
        for worker in workers {
            worker.stop().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_a_projection_test_returns_the_row_of_the_given_events() {
    for store in banks() {
        let bank = store.open().await;
        let test =
            ProjectionTest::<Balance>::start(&bank, WorkerFaults::all(seed())).await.unwrap();
        assert!(test.row("alice").await.unwrap().is_none());
        for cents in 1..=30 {
            test.given("account-alice", [AccountEvent::Deposited { cents }]).await.unwrap();
            let alice = test.row("alice").await.unwrap().into_value().unwrap();
            assert_eq!((alice.cents, alice.events as i64), ((1..=cents).sum::<i64>(), cents));
        }
        test.stop().await.unwrap();
    }
}
