//! R6: verification and repair while commands and workers go on.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use highwater::{
    Highwater, View, Views as _,
    worker::{OnDrift, WorkerHandle},
};
use highwater_test_support::{
    bank::{Bank, banks},
    ledger::{ByAccount, ByCustomer, ByPartner, compare_all, step},
    run::{duration, seed},
};
use tokio::task::JoinHandle;

use crate::{
    audited::work_audited,
    found::{assert_equal, grow, verify_all, work},
    tampering::tamper,
};

/// Commands that go on, and workers that come and go, until they are told to stop.
pub(crate) struct Traffic {
    ends: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    audited: Arc<Mutex<AuditedRows>>,
}

/// The findings of the auditors of all workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditedRows {
    pub(crate) compared: u64,
    pub(crate) repaired: u64,
    /// The number of rows that drifted, by view.
    pub(crate) found: BTreeMap<String, u64>,
}

impl AuditedRows {
    fn add(&mut self, worker: &WorkerHandle) {
        for status in worker.statuses() {
            let audit = status.audit();
            self.compared += audit.compared;
            self.repaired += audit.repaired;
            if audit.found > 0 {
                *self.found.entry(status.view().to_string()).or_default() += audit.found;
            }
        }
    }
}

impl Traffic {
    pub(crate) async fn start(store: &Bank, shards: u32, seed: u64, on_drift: OnDrift) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        let audited = Arc::new(Mutex::new(AuditedRows::default()));
        for number in 0..2 {
            let bank = store.open().await;
            let has_ended = Arc::clone(&ends);
            let mut random = fastrand::Rng::with_seed(seed ^ number);
            tasks.push(tokio::spawn(async move {
                while !has_ended.load(Ordering::Relaxed) {
                    step(&bank, &mut random).await;
                    tokio::time::sleep(Duration::from_millis(random.u64(..4))).await;
                }
            }));
            let bank = store.open().await;
            let has_ended = Arc::clone(&ends);
            let mut random = fastrand::Rng::with_seed(seed ^ !number);
            let audits = Arc::clone(&audited);
            tasks.push(tokio::spawn(async move {
                while !has_ended.load(Ordering::Relaxed) {
                    let window = Duration::from_millis(random.u64(1..400));
                    let worker = work_audited(&bank, shards, window, on_drift).await;
                    tokio::time::sleep(Duration::from_millis(random.u64(300..1_500))).await;
                    audits.lock().unwrap().add(&worker);
                    match random.bool() {
                        true => worker.stop().await.unwrap(),
                        // As if it were killed: nothing is released.
                        false => drop(worker),
                    }
                }
            }));
        }
        Self { ends, tasks, audited }
    }

    /// Returns what the auditors have found.
    pub(crate) async fn stop(self) -> AuditedRows {
        self.ends.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.audited.lock().unwrap().clone()
    }
}

/// Waits until the views exist.
pub(crate) async fn until_opened(bank: &Highwater) {
    while bank.view::<ByPartner>().freshness().await.is_err()
        || bank.view::<ByCustomer>().freshness().await.is_err()
        || bank.view::<ByAccount>().freshness().await.is_err()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Verifies a view in a random way. Returns the number of rows that were compared.
async fn verify_somehow<V: View>(
    bank: &Highwater,
    prefix: &str,
    random: &mut fastrand::Rng,
) -> u64 {
    let verify = bank.view::<V>().verify();
    let verify = match random.u8(..4) {
        0 => verify,
        1 => verify.max_rows(random.usize(1..20)),
        2 => verify.sample(random.usize(1..10)),
        _ => verify.keys((0..random.u32(1..20)).map(|number| format!("{prefix}{number}"))),
    };
    let what = format!("{verify:?}");
    match verify.await {
        Ok(report) => {
            assert!(report.is_equal(), "{what}: {report}: {:?}", report.drift);
            assert_equal(&report);
            report.compared
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

/// The claim to break: whatever the moment, no row is reported that is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_no_drift_is_reported_while_commands_and_workers_come_and_go() {
    for store in banks() {
        for shards in [1, 3] {
            let seed = seed();
            let bank = store.open().await;
            let traffic = Traffic::start(&store, shards, seed, OnDrift::Warn).await;
            until_opened(&bank).await;
            let mut random = fastrand::Rng::with_seed(seed);
            let until = Instant::now() + duration(12) / 3;
            let mut runs = 0_u64;
            let mut rows = 0;
            while Instant::now() < until {
                rows += verify_somehow::<ByAccount>(&bank, "a", &mut random).await;
                rows += verify_somehow::<ByCustomer>(&bank, "c", &mut random).await;
                rows += verify_somehow::<ByPartner>(&bank, "p", &mut random).await;
                runs += 3;
            }
            traffic.stop().await;
            println!("{runs} verifications of {rows} rows, with {shards} shards");
            assert!(rows > 0);
        }
    }
}

/// A view that is resharded is compared again, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_no_drift_is_reported_while_a_view_is_resharded() {
    for store in banks() {
        let mut random = fastrand::Rng::with_seed(seed());
        let bank = store.open().await;
        let mut worker = work(&bank, 1).await;
        grow(&bank, 100, &mut random).await;
        let ends = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&ends);
        let reader = store.open().await.view::<ByCustomer>();
        let verifying = tokio::spawn(async move {
            let mut compared = 0;
            while !has_ended.load(Ordering::Relaxed) {
                match reader.verify().max_rows(3).await {
                    Ok(report) => {
                        assert_equal(&report);
                        compared += report.compared;
                    }
                    Err(error) => assert!(error.is_conflict(), "{error}"),
                }
            }
            compared
        });
        for shards in [3, 2, 4, 1, 3] {
            worker.stop().await.unwrap();
            worker = work(&bank, shards).await;
            grow(&bank, 30, &mut random).await;
        }
        ends.store(true, Ordering::Relaxed);
        assert!(verifying.await.unwrap() > 0);
        worker.stop().await.unwrap();
    }
}

/// Deletes a row, or writes that of another key over it. Returns the key.
pub(crate) async fn tamper_somehow<V: View>(
    store: &Bank,
    bank: &Highwater,
    prefix: &str,
    random: &mut fastrand::Rng,
) -> String {
    let key = format!("{prefix}{}", random.u32(..20));
    let other = format!("{prefix}{}", random.u32(..20));
    let row = bank.view::<V>().get(&other).find().await.unwrap().into_value();
    let row = row.map(|row| serde_json::to_string(&row).unwrap());
    tamper::<V>(store, bank, &key, row.as_deref()).await;
    key
}

async fn tamper_and_repair<V: View>(
    store: &Bank,
    bank: &Highwater,
    prefix: &str,
    random: &mut fastrand::Rng,
) {
    let key = tamper_somehow::<V>(store, bank, prefix, random).await;
    let repaired = bank.view::<V>().repair([&key]).await.unwrap();
    assert!(repaired.unverified.is_empty(), "{repaired:?}");
}

/// A worker may write a row again from what it has in memory before the repair comes, and may have read the wrong row
/// before: in the end each row is the fold of its events.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_rows_that_are_repaired_during_traffic_have_every_event_once() {
    for store in banks() {
        for shards in [1, 3] {
            let seed = seed();
            let bank = store.open().await;
            let traffic = Traffic::start(&store, shards, seed, OnDrift::Warn).await;
            until_opened(&bank).await;
            let mut random = fastrand::Rng::with_seed(seed);
            let until = Instant::now() + duration(12) / 3;
            let mut runs = 0_u64;
            while Instant::now() < until {
                tamper_and_repair::<ByAccount>(&store, &bank, "a", &mut random).await;
                tamper_and_repair::<ByCustomer>(&store, &bank, "c", &mut random).await;
                tamper_and_repair::<ByPartner>(&store, &bank, "p", &mut random).await;
                runs += 3;
            }
            traffic.stop().await;
            let worker = work(&bank, shards).await;
            compare_all(&bank).await;
            worker.stop().await.unwrap();
            for report in verify_all(&bank).await {
                assert_equal(&report);
            }
            println!("{runs} repairs, with {shards} shards");
        }
    }
}
