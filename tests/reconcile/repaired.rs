//! R6: repairs without a worker, interrupted, of parked keys, of stopped views.

use std::time::Duration;

use futures_util::FutureExt as _;
use highwater::{
    Position, View, Views as _, Worker,
    projection::ParkedKeys,
    value::FreshnessStatus,
    worker::{OnFailure, ProjectionOptions, ProjectionState},
};
use highwater_test_support::{
    bank::banks,
    ledger::{ByAccount, ByCustomer, ByPartner, Ledger, Move, compare_all},
    run::seed,
};

use crate::{
    found::{assert_equal, grow, verify_all, work},
    tampering::tamper,
};

/// A repair is dropped after a random number of turns: before the claim, between claim and commit, before the release.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_repair_that_is_interrupted_anywhere_can_be_repeated() {
    for store in banks() {
        let mut random = fastrand::Rng::with_seed(seed());
        let bank = store.open().await;
        let worker = work(&bank, 2).await;
        grow(&bank, 100, &mut random).await;
        for round in 0..30 {
            let key = format!("c{}", random.u32(..15));
            tamper::<ByCustomer>(&store, &bank, &key, None).await;
            let mut repair = Box::pin(bank.view::<ByCustomer>().repair([&key]).into_future());
            for _ in 0..round {
                if (&mut repair).now_or_never().is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
            drop(repair);
            let repaired = bank.view::<ByCustomer>().repair([&key]).await.unwrap();
            assert!(repaired.unverified.is_empty(), "{repaired:?}");
        }
        grow(&bank, 50, &mut random).await;
        worker.stop().await.unwrap();
        for report in verify_all(&bank).await {
            assert_equal(&report);
        }
    }
}

/// Commits fail before they are made, or their answers are lost, of workers and of the repair.
#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_repair_that_fails_or_whose_answer_is_lost_can_be_repeated() {
    use highwater::testing::WorkerFaults;

    for store in banks() {
        let seed = seed();
        let mut random = fastrand::Rng::with_seed(seed);
        let bank = store.open().await;
        let mut faults = WorkerFaults::none(seed);
        faults.before_commit = 0.3;
        faults.after_commit = 0.3;
        let faulty = faults.on_views(std::sync::Arc::clone(bank.views()));
        let faulty = store.builder().await.views(faulty).build();
        let options = ProjectionOptions::default().shards(2);
        let worker = Worker::new(&bank)
            .view_with::<ByAccount>(options)
            .view_with::<ByCustomer>(options)
            .view_with::<ByPartner>(options)
            .with_faults(&WorkerFaults::all(seed));
        let worker = worker.start().await.unwrap();
        grow(&bank, 60, &mut random).await;
        let mut failures = 0;
        for _ in 0..15 {
            let key = format!("c{}", random.u32(..15));
            tamper::<ByCustomer>(&store, &bank, &key, None).await;
            while let Err(error) = faulty.view::<ByCustomer>().repair([&key]).await {
                assert!(error.is_retryable(), "{error}");
                failures += 1;
            }
        }
        println!("{failures} repairs have failed");
        grow(&bank, 60, &mut random).await;
        worker.stop().await.unwrap();
        for report in verify_all(&bank).await {
            assert_equal(&report);
        }
    }
}

/// The worker has the right row in memory, and the store has another one; or the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_worker_goes_on_from_the_repaired_row_and_not_from_its_memory() {
    for store in banks() {
        let bank = store.open().await;
        let move_to_bob = async |cents| {
            let step = Move { customer: "bob".to_owned(), partners: Vec::new(), cents };
            bank.aggregate::<Ledger>("a1").execute(step).await.unwrap()
        };
        let worker = work(&bank, 1).await;
        let first = move_to_bob(1).await;
        let row = bank.view::<ByCustomer>().get("bob").after(&first).await.unwrap();
        let wrong = serde_json::to_string(&*row).unwrap().replace("\"cents\":1", "\"cents\":500");
        worker.stop().await.unwrap();
        tamper::<ByCustomer>(&store, &bank, "bob", Some(&wrong)).await;
        // The worker reads the wrong row, and folds on from there.
        let worker = work(&bank, 1).await;
        let second = move_to_bob(2).await;
        let row = bank.view::<ByCustomer>().get("bob").after(&second).await.unwrap();
        assert_eq!(row.cents, 502);
        let repair = bank.view::<ByCustomer>().repair(["bob"]).await.unwrap();
        assert_eq!(repair.repaired.len(), 1);
        let third = move_to_bob(4).await;
        let row = bank.view::<ByCustomer>().get("bob").after(&third).await.unwrap();
        assert_eq!((row.cents, row.trace.cents, row.trace.events), (7, 7, 3));
        compare_all(&bank).await;
        worker.stop().await.unwrap();
    }
}

/// The row of a parked key has the events before the first that waits, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_an_undecodable_row_of_a_parked_key_is_repaired_and_its_events_are_applied_after_a_retry()
 {
    for store in banks() {
        let bank = store.open().await;
        let options = ProjectionOptions::default().on_failure(OnFailure::Park { at_most: 3 });
        let start =
            async || Worker::new(&bank).view_with::<ByCustomer>(options).start().await.unwrap();
        let move_to_bob = async |cents| {
            let step = Move { customer: "bob".to_owned(), partners: Vec::new(), cents };
            bank.aggregate::<Ledger>("a1").execute(step).await.unwrap()
        };
        let worker = start().await;
        let first = move_to_bob(1).await;
        bank.view::<ByCustomer>().get("bob").after(&first).await.unwrap();
        worker.stop().await.unwrap();
        tamper::<ByCustomer>(&store, &bank, "bob", Some("[7]")).await;
        let worker = start().await;
        move_to_bob(2).await;
        let parked = ParkedKeys::of(&bank, ByCustomer::NAME).unwrap();
        while parked.list(None, 9).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let report = bank.view::<ByCustomer>().verify().await.unwrap();
        assert_eq!(report.parked, [("bob".to_owned(), Position::new(2))]);
        assert!(report.is_equal(), "{report}: {:?}", report.drift);

        let repair = bank.view::<ByCustomer>().repair(["bob"]).await.unwrap();
        assert_eq!(repair.repaired.len(), 1, "{repair:?}");
        assert_eq!(repair.repaired[0].position, Position::new(1));
        let row = bank.view::<ByCustomer>().get("bob").await.unwrap();
        assert_eq!(
            (row.cents, row.freshness().status()),
            (1, FreshnessStatus::Degraded(Position::new(2)))
        );
        assert!(parked.retry("bob").await.unwrap());
        while !parked.list(None, 9).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let last = move_to_bob(4).await;
        let row = bank.view::<ByCustomer>().get("bob").after(&last).await.unwrap();
        assert_eq!((row.cents, row.trace.events), (7, 3));
        worker.stop().await.unwrap();
    }
}

/// The auditor starts before the view is there, and ends when it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_an_auditor_finds_and_repairs_drift_while_the_view_is_in_use() {
    for store in banks() {
        let mut random = fastrand::Rng::with_seed(seed());
        let bank = store.open().await;
        let auditor = store.open().await.view::<ByCustomer>().audit().all_rows();
        let auditor = auditor.every(Duration::from_millis(20)).repair_drift();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let auditor = tokio::spawn(auditor.run(async { drop(stopped.await) }));
        let worker = work(&bank, 2).await;
        grow(&bank, 50, &mut random).await;
        for number in 0..3 {
            tamper::<ByCustomer>(&store, &bank, &format!("c{number}"), Some("[7]")).await;
            while bank.view::<ByCustomer>().get(format!("c{number}")).find().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        grow(&bank, 50, &mut random).await;
        stop.send(()).unwrap();
        auditor.await.unwrap().unwrap();
        worker.stop().await.unwrap();
        for report in verify_all(&bank).await {
            assert_equal(&report);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_view_that_has_stopped_at_a_row_says_so_until_a_worker_goes_on_from_the_repaired_row()
{
    for store in banks() {
        let mut random = fastrand::Rng::with_seed(seed());
        let bank = store.open().await;
        let worker = work(&bank, 1).await;
        grow(&bank, 60, &mut random).await;
        worker.stop().await.unwrap();
        let keys: Vec<String> = (0..40).map(|number| format!("a{number}")).collect();
        for key in &keys {
            tamper::<ByAccount>(&store, &bank, key, Some("[7]")).await;
        }
        let worker = work(&bank, 1).await;
        let step = Move { customer: "c1".to_owned(), partners: Vec::new(), cents: 5 };
        bank.aggregate::<Ledger>("a1").execute(step).await.unwrap();
        let mut status = worker.statuses()[0].clone();
        status.until(ProjectionState::is_stopped).await;
        let _ = worker.stop().await;
        let stops = bank.view::<ByAccount>().stops().await.unwrap();
        assert_eq!(stops.len(), 1);

        let repair = bank.view::<ByAccount>().repair(&keys).await.unwrap();
        assert_eq!(repair.repaired.len() as u64 + repair.unchanged, 40, "{repair:?}");
        assert_eq!(bank.view::<ByAccount>().stops().await.unwrap(), stops);
        let worker = work(&bank, 1).await;
        grow(&bank, 20, &mut random).await;
        assert_eq!(bank.view::<ByAccount>().stops().await.unwrap(), []);
        worker.stop().await.unwrap();
        for report in verify_all(&bank).await {
            assert_equal(&report);
        }
    }
}
