//! R6: the auditor in a worker.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use highwater::{
    Highwater, View, Views as _,
    prelude::*,
    projection::ParkedKeys,
    reconcile::VerifyReport,
    worker::{
        AuditStatus, OnDrift, OnFailure, ProjectionOptions, ProjectionState, ProjectionStatus,
        WorkerHandle,
    },
};
use highwater_test_support::{
    bank::{Bank, banks},
    ledger::{ByAccount, ByCustomer, ByPartner, Ledger, LedgerEvent, Move, compare_all},
    run::{duration, seed},
};
use tokio::time::{sleep, timeout};

use crate::{
    found::{assert_equal, grow, verify_all},
    tampering::tamper,
    traffic::{Traffic, tamper_somehow, until_opened},
};

/// The time after which a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a worker that compares every row once within `window`.
pub(crate) async fn work_audited(
    bank: &Highwater,
    shards: u32,
    window: Duration,
    on_drift: OnDrift,
) -> WorkerHandle {
    let options = ProjectionOptions::default().shards(shards).batch(50);
    let options = options.audited_within(window).on_drift(on_drift);
    let source = highwater::direct::DirectSource::new(bank).lease(Duration::from_millis(250));
    let worker = Worker::new(bank).fed_by(source).view_with::<ByAccount>(options);
    let worker = worker.view_with::<ByCustomer>(options).view_with::<ByPartner>(options);
    worker.start().await.unwrap()
}

/// Waits until the auditor of a view has found what is expected.
async fn until_audited(status: &ProjectionStatus, mut is: impl FnMut(&AuditStatus) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is(&status.audit()) {
        assert!(Instant::now() < until, "{status} {:?}", status.audit());
        sleep(Duration::from_millis(5)).await;
    }
}

fn is_covered(audit: &AuditStatus, shards: usize) -> bool {
    audit.coverage.len() == shards && audit.coverage.values().all(|share| *share == 1.0)
}

/// Changes four rows of a view, each in another way. Returns their keys.
async fn tamper_with<V: View>(store: &Bank, bank: &Highwater) -> Vec<String> {
    let page = bank.view::<V>().range(.., 3).await.unwrap();
    let mut keys: Vec<String> = page.rows.iter().map(|(key, _)| key.clone()).collect();
    keys.push("zz".to_owned());
    let row = serde_json::to_string(&page.rows.rows[0].1).unwrap();
    let row = row.replace("\"events\":", "\"events\":7");
    tamper::<V>(store, bank, &keys[0], Some(&row)).await;
    tamper::<V>(store, bank, &keys[1], None).await;
    tamper::<V>(store, bank, &keys[2], Some("[7]")).await;
    tamper::<V>(store, bank, &keys[3], Some(&row)).await;
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_worker_finds_rows_that_were_changed_by_hand_and_repairs_them_if_told_to() {
    for store in banks() {
        for shards in [1, 3] {
            let mut random = fastrand::Rng::with_seed(seed());
            let bank = store.open().await;
            let window = Duration::from_millis(500);
            let worker = work_audited(&bank, shards, window, OnDrift::Warn).await;
            grow(&bank, 120, &mut random).await;
            let tampered = [
                tamper_with::<ByAccount>(&store, &bank).await,
                tamper_with::<ByCustomer>(&store, &bank).await,
                tamper_with::<ByPartner>(&store, &bank).await,
            ];
            for (status, keys) in worker.statuses().iter().zip(&tampered) {
                until_audited(status, |audit| audit.drifted == *keys).await;
                let audit = status.audit();
                assert!(audit.drifted_since.is_some() && audit.repaired == 0, "{audit:?}");
                assert!(matches!(status.now(), ProjectionState::Running), "{status}");
            }
            worker.stop().await.unwrap();

            let worker = work_audited(&bank, shards, window, OnDrift::Repair).await;
            for status in worker.statuses() {
                until_audited(status, |audit| audit.repaired == 4).await;
                until_audited(status, |audit| audit.drifted.is_empty()).await;
                assert_eq!(status.audit().drifted_since, None);
            }
            grow(&bank, 60, &mut random).await;
            worker.stop().await.unwrap();
            for report in verify_all(&bank).await {
                assert_equal(&report);
            }
        }
    }
}

/// The shard goes on from the row that was repaired, and not from what it has in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_shard_that_has_repaired_a_row_goes_on_from_it() {
    for store in banks() {
        let bank = store.open().await;
        let move_to_bob = async |cents| {
            let step = Move { customer: "bob".to_owned(), partners: Vec::new(), cents };
            bank.aggregate::<Ledger>("a1").execute(step).await.unwrap()
        };
        let window = Duration::from_millis(500);
        let worker = work_audited(&bank, 1, window, OnDrift::Warn).await;
        let first = move_to_bob(1).await;
        let row = bank.view::<ByCustomer>().get("bob").after(&first).await.unwrap();
        let wrong = serde_json::to_string(&*row).unwrap().replace("\"cents\":1", "\"cents\":500");
        worker.stop().await.unwrap();
        tamper::<ByCustomer>(&store, &bank, "bob", Some(&wrong)).await;
        // The worker reads the wrong row, folds on from there, and has it in memory when the sample is compared.
        let worker = work_audited(&bank, 1, Duration::from_secs(1_000), OnDrift::Repair).await;
        let second = move_to_bob(2).await;
        bank.view::<ByCustomer>().get("bob").after(&second).await.unwrap();
        until_audited(&worker.statuses()[1], |audit| audit.repaired > 0).await;
        let third = move_to_bob(4).await;
        let row = bank.view::<ByCustomer>().get("bob").after(&third).await.unwrap();
        assert_eq!((row.cents, row.trace.cents, row.trace.events), (7, 7, 3));
        compare_all(&bank).await;
        worker.stop().await.unwrap();
    }
}

/// Programs that fold rows in two ways. Nothing in their definitions differs.
macro_rules! program {
    ($name:ident, $factor:expr) => {
        mod $name {
            use super::*;

            #[derive(View, Default, Clone, Debug)]
            #[view(event = LedgerEvent, name = "totals", by_stream = Ledger)]
            pub(crate) struct OfAccount {
                pub(crate) cents: i64,
            }

            impl OfAccount {
                fn fold(&mut self, event: &LedgerEvent, _: &Envelope) {
                    if let LedgerEvent::Moved { cents, .. } = event {
                        self.cents += cents * $factor;
                    }
                }
            }

            #[derive(View, Default, Clone, Debug)]
            #[view(event = LedgerEvent, name = "customers")]
            pub(crate) struct OfCustomer {
                pub(crate) cents: i64,
            }

            impl OfCustomer {
                fn key(event: &LedgerEvent, _: &Envelope) -> Option<String> {
                    match event {
                        LedgerEvent::Moved { customer, .. } => Some(customer.clone()),
                        LedgerEvent::Closed => None,
                    }
                }

                fn fold(&mut self, event: &LedgerEvent, _: &Envelope) {
                    if let LedgerEvent::Moved { cents, .. } = event {
                        self.cents += cents * $factor;
                    }
                }
            }

            pub(super) async fn start(bank: &Highwater) -> WorkerHandle {
                let options = ProjectionOptions::default().shards(2);
                let worker = Worker::new(bank).view_with::<OfAccount>(options);
                worker.view_with::<OfCustomer>(options).start().await.unwrap()
            }
        }
    };
}

program!(before, 1);
program!(changed, 2);

/// The window is a day: only the sample of a shard that is taken up can find it in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_worker_with_another_fold_under_the_same_version_finds_that_when_it_starts() {
    for store in banks() {
        let bank = store.open().await;
        let worker = before::start(&bank).await;
        let mut last = None;
        for number in 0..40 {
            let customer = format!("c{number}");
            let step = Move { customer, partners: Vec::new(), cents: 5 };
            let account = bank.aggregate::<Ledger>(format!("a{number}"));
            last = Some(account.execute(step).await.unwrap());
        }
        let last = last.unwrap();
        bank.view::<before::OfAccount>().get("a39").after(&last).await.unwrap();
        bank.view::<before::OfCustomer>().get("c39").after(&last).await.unwrap();
        worker.stop().await.unwrap();

        let worker = before::start(&bank).await;
        for status in worker.statuses() {
            until_audited(status, |audit| audit.compared >= 20).await;
            assert_eq!(status.audit().found, 0, "{:?}", status.audit());
        }
        worker.stop().await.unwrap();
        let worker = changed::start(&bank).await;
        for status in worker.statuses() {
            until_audited(status, |audit| audit.drifted.len() >= 20).await;
            assert!(matches!(status.now(), ProjectionState::Running), "{status}");
        }
        worker.stop().await.unwrap();
    }
}

/// The window is a day, and the auditor has begun with one shard when the worker takes up the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_shard_that_a_worker_takes_up_later_is_sampled_then() {
    for store in banks() {
        let bank = store.open().await;
        let worker = before::start(&bank).await;
        let mut last = None;
        for number in 0..40 {
            let step = Move { customer: "bob".to_owned(), partners: Vec::new(), cents: 5 };
            let account = bank.aggregate::<Ledger>(format!("a{number}"));
            last = Some(account.execute(step).await.unwrap());
        }
        bank.view::<before::OfAccount>().get("a39").after(last.unwrap()).await.unwrap();
        let name = before::OfAccount::spec().unwrap().name;
        let sharding = bank.views().read_view(&name, &[]).await.unwrap().state.sharding;
        let shards = |audit: &AuditStatus| {
            let shard = |key: &String| sharding.shard_of(&format!("ledger-{key}"));
            audit.drifted.iter().map(shard).collect::<BTreeSet<_>>().len()
        };

        let changed = changed::start(&bank).await;
        let status = &changed.statuses()[0];
        until_audited(status, |audit| audit.found > 0).await;
        assert_eq!(shards(&status.audit()), 1, "each worker has a shard: {:?}", status.audit());
        worker.stop().await.unwrap();
        until_audited(status, |audit| shards(audit) == 2).await;
        changed.stop().await.unwrap();
    }
}

/// The claim to break: whatever the moment, no auditor reports a row that is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_no_auditor_reports_drift_while_commands_and_workers_come_and_go() {
    for store in banks() {
        for shards in [1, 3] {
            let bank = store.open().await;
            let traffic = Traffic::start(&store, shards, seed(), OnDrift::Warn).await;
            until_opened(&bank).await;
            sleep(duration(12) / 3).await;
            let audited = traffic.stop().await;
            println!("{} rows audited, with {shards} shards", audited.compared);
            assert!(audited.compared > 0);
            assert_eq!(audited.found, BTreeMap::new());
        }
    }
}

/// Rows are changed by hand while workers come and go, and whichever worker has the shard repairs them: in the end each
/// row is the fold of its events.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_rows_that_workers_repair_during_traffic_have_every_event_once() {
    for store in banks() {
        for shards in [1, 3] {
            let seed = seed();
            let bank = store.open().await;
            let traffic = Traffic::start(&store, shards, seed, OnDrift::Repair).await;
            until_opened(&bank).await;
            let mut random = fastrand::Rng::with_seed(seed);
            let until = Instant::now() + duration(12) / 3;
            while Instant::now() < until {
                tamper_somehow::<ByAccount>(&store, &bank, "a", &mut random).await;
                tamper_somehow::<ByCustomer>(&store, &bank, "c", &mut random).await;
                tamper_somehow::<ByPartner>(&store, &bank, "p", &mut random).await;
                sleep(Duration::from_millis(random.u64(..100))).await;
            }
            let audited = traffic.stop().await;
            println!("{audited:?}, with {shards} shards");
            let window = Duration::from_millis(500);
            let worker = work_audited(&bank, shards, window, OnDrift::Repair).await;
            let until = Instant::now() + PATIENCE;
            while !verify_all(&bank).await.iter().all(VerifyReport::is_equal) {
                assert!(Instant::now() < until, "{:?}", verify_all(&bank).await);
                sleep(Duration::from_millis(10)).await;
            }
            compare_all(&bank).await;
            worker.stop().await.unwrap();
            assert!(audited.repaired > 0);
        }
    }
}

/// A row of a parked key lacks events by intention.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_parked_key_is_no_drift_to_an_auditor() {
    for store in banks() {
        let bank = store.open().await;
        let options = ProjectionOptions::default().on_failure(OnFailure::Park { at_most: 3 });
        let start = async |options| {
            Worker::new(&bank).view_with::<ByCustomer>(options).start().await.unwrap()
        };
        let move_to = async |customer: &str| {
            let step = Move { customer: customer.to_owned(), partners: Vec::new(), cents: 1 };
            bank.aggregate::<Ledger>("a1").execute(step).await.unwrap()
        };
        let worker = start(options.unaudited()).await;
        let first = move_to("bob").await;
        bank.view::<ByCustomer>().get("bob").after(&first).await.unwrap();
        worker.stop().await.unwrap();
        tamper::<ByCustomer>(&store, &bank, "bob", Some("[7]")).await;
        let worker = start(options.unaudited()).await;
        move_to("bob").await;
        let last = move_to("eve").await;
        bank.view::<ByCustomer>().get("eve").after(&last).await.unwrap();
        let audit = worker.statuses()[0].audit();
        assert_eq!((audit.window, audit.compared), (None, 0));
        worker.stop().await.unwrap();
        assert_eq!(
            ParkedKeys::of(&bank, "by_customer").unwrap().list(None, 9).await.unwrap().len(),
            1
        );

        let window = Duration::from_millis(300);
        let worker = start(options.audited_within(window).on_drift(OnDrift::Repair)).await;
        let status = &worker.statuses()[0];
        until_audited(status, |audit| is_covered(audit, 1)).await;
        let audit = status.audit();
        assert!(audit.compared > 0, "eve is compared: {audit:?}");
        assert!(audit.found == 0 && audit.repaired == 0, "{audit:?}");
        worker.stop().await.unwrap();
    }
}

/// An auditor that is between two pages of a day, and one that compares without a pause.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_an_auditor_does_not_hold_up_the_shutdown_of_its_worker() {
    for store in banks() {
        let mut random = fastrand::Rng::with_seed(seed());
        let bank = store.open().await;
        for window in [Duration::from_secs(24 * 60 * 60), Duration::from_millis(1)] {
            let worker = work_audited(&bank, 2, window, OnDrift::Repair).await;
            grow(&bank, 30, &mut random).await;
            timeout(PATIENCE, worker.stop()).await.unwrap().unwrap();
            let worker = work_audited(&bank, 2, window, OnDrift::Repair).await;
            for status in worker.statuses() {
                until_audited(status, |audit| audit.compared > 0).await;
            }
            timeout(PATIENCE, worker.stop()).await.unwrap().unwrap();
        }
    }
}

/// Deletes or breaks every row of a view. Returns their keys.
async fn tamper_with_all<V: View>(store: &Bank, bank: &Highwater) -> BTreeSet<String> {
    let page = bank.view::<V>().range(.., 1_000).await.unwrap();
    let keys: BTreeSet<String> = page.rows.iter().map(|(key, _)| key.clone()).collect();
    for (number, key) in keys.iter().enumerate() {
        let row = (number % 3 > 0).then_some("[7]");
        tamper::<V>(store, bank, key, row).await;
    }
    keys
}

/// Two workers share the shards. When they have covered them all, they have found every row, and every one is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_every_key_of_the_shards_of_a_worker_is_compared_within_the_window() {
    for store in banks() {
        let mut random = fastrand::Rng::with_seed(seed());
        let bank = store.open().await;
        let window = Duration::from_secs(2);
        let worker = work_audited(&bank, 4, window, OnDrift::Warn).await;
        grow(&bank, 150, &mut random).await;
        worker.stop().await.unwrap();
        let wrong = [
            tamper_with_all::<ByAccount>(&store, &bank).await,
            tamper_with_all::<ByCustomer>(&store, &bank).await,
            tamper_with_all::<ByPartner>(&store, &bank).await,
        ];
        let one = work_audited(&bank, 4, window, OnDrift::Warn).await;
        let other = work_audited(&store.open().await, 4, window, OnDrift::Warn).await;
        for ((first, second), wrong) in one.statuses().iter().zip(other.statuses()).zip(&wrong) {
            until_audited(first, |audit| {
                let second = second.audit();
                let is_divided = !audit.coverage.is_empty() && !second.coverage.is_empty();
                let shards = audit.coverage.len() + second.coverage.len();
                let is_whole = is_covered(audit, audit.coverage.len());
                is_divided && shards == 4 && is_whole && is_covered(&second, second.coverage.len())
            })
            .await;
            let found = [first, second].map(|status| status.audit().drifted);
            let found: BTreeSet<String> = found.into_iter().flatten().collect();
            assert_eq!(found, *wrong, "of {}", first.view());
        }
        one.stop().await.unwrap();
        other.stop().await.unwrap();
    }
}
