//! R2, R3: bounded reads depend on the marks of the relay. Any key is fresh while only one
//! partition has traffic, and none is fresh when the relay has stopped or the worker receives
//! nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use highwater::{
    Code, CommandId, Highwater, Receipt, Views as _,
    consistency::Basis,
    value::{Sharding, Timestamp},
};
use highwater_test_support::{bank::Balance, fleet::Fleet, run::seed};
use tokio::task::JoinHandle;

use crate::{
    fixture::{CrashFixture, RECOVERY_TIMEOUT, deposit, until_seen},
    processes::{Orders, PARTITIONS},
};

/// A bound well above the usual delay of the feed: the relay marks an idle log five times per
/// second, and views record it once.
const BOUND: Duration = Duration::from_secs(3);

/// An account in each partition.
fn keys() -> Vec<String> {
    let of = |partition: u32| {
        let sharding = Sharding::by_stream(PARTITIONS);
        let mut names = (0..).map(|number| format!("key-{number}"));
        names.find(|key| sharding.shard_of(&format!("account-{key}")).get() == partition).unwrap()
    };
    (0..PARTITIONS).map(of).collect()
}

/// Writes to one partition only.
struct Traffic {
    is_stopped: Arc<AtomicBool>,
    task: JoinHandle<Receipt>,
}

impl Traffic {
    fn start(fixture: &CrashFixture, bank: &Highwater) -> Self {
        let (bank, is_stopped) = (bank.clone(), Arc::<AtomicBool>::default());
        let stopped = Arc::clone(&is_stopped);
        let busy = keys().remove(0);
        let mut id = CommandId::derive([fastrand::u64(..).to_be_bytes()]);
        let task = fixture.runtime.spawn(async move {
            loop {
                id = CommandId::derive([id.as_uuid().as_bytes()]);
                let receipt = deposit(&bank, &busy, id).await;
                if stopped.load(Ordering::Relaxed) {
                    return receipt;
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        });
        Self { is_stopped, task }
    }

    /// Stops the traffic, and returns the receipt of the last write.
    async fn stop(self) -> Receipt {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Asserts that a bounded read of each key succeeds, immediately or once the view has received a
/// mark.
async fn all_are_fresh(bank: &Highwater) {
    for key in keys() {
        let read = bank.view::<Balance>().get(key).bounded(BOUND).within(RECOVERY_TIMEOUT);
        let answer = read.find().await.unwrap();
        assert_eq!(answer.basis(), Basis::View);
        assert!(answer.freshness().age() <= BOUND);
    }
}

/// Asserts that all keys are fresh by the marks although the log has newer events that the view
/// lacks.
async fn all_are_fresh_by_their_marks(bank: &Highwater) {
    let began = Instant::now();
    for key in keys() {
        loop {
            let read = bank.view::<Balance>().get(&key).bounded(BOUND).within(RECOVERY_TIMEOUT);
            let freshness = read.find().await.unwrap().freshness();
            if freshness.lag().is_none_or(|lag| lag > 0) {
                break;
            }
            assert!(began.elapsed() < RECOVERY_TIMEOUT, "the view never lags behind");
        }
    }
}

/// Asserts that after some time every bounded read fails as stale, and that none succeeds later
/// than the bound allows: no result contains the write of `since`.
async fn all_become_stale(bank: &Highwater, since: Timestamp) {
    for key in keys() {
        let began = Instant::now();
        loop {
            let read = bank.view::<Balance>().get(&key).bounded(BOUND).within(Duration::ZERO);
            match read.find().await {
                Ok(answer) => {
                    let late = answer.freshness().read_at.duration_since(since);
                    let late = Duration::try_from(late).unwrap_or_default();
                    assert!(late <= BOUND, "{late:?} after the last mark: {}", answer.freshness());
                }
                Err(error) => {
                    assert_eq!(error.code(), Code::STALE_READ, "{error}");
                    break;
                }
            }
            assert!(began.elapsed() < RECOVERY_TIMEOUT, "{key} stays fresh");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A fault or a repair of the relay or of the proxy to the broker.
type Action = fn(&CrashFixture, &mut Option<Fleet<Orders>>);

/// Each fault with its repair.
const FAULTS: [(&str, Action, Action); 3] = [
    (
        "a relay that is frozen",
        |_, relay| relay.as_ref().unwrap().freeze_all(),
        |_, relay| relay.as_ref().unwrap().thaw_all(),
    ),
    (
        "a relay that has ended",
        |_, relay| {
            relay.take().unwrap().shut_down();
        },
        |fixture, relay| *relay = Some(fixture.relays(1)),
    ),
    (
        "a worker that is cut from its broker",
        |fixture, _| fixture.proxy.hold(),
        |fixture, _| fixture.proxy.let_through(),
    ),
];

/// Asserts that all keys are fresh, then none, then all again. If the reader knows the head of the
/// log there is traffic throughout. If it doesn't, the log is idle during the fault, and only the
/// marks show it.
fn is_detected(
    fixture: &CrashFixture,
    relay: &mut Option<Fleet<Orders>>,
    (what, breaks, heals): (&str, Action, Action),
) {
    let bank = fixture.open();
    let mut traffic = Some(Traffic::start(fixture, &bank));
    fixture.runtime.block_on(all_are_fresh(&bank));
    fixture.runtime.block_on(all_are_fresh_by_their_marks(&bank));
    if fixture.has_views_elsewhere() {
        fixture.runtime.block_on(traffic.take().unwrap().stop());
    }
    breaks(fixture, relay);
    let since = bank.clock().now();
    if traffic.is_some() {
        fixture.runtime.block_on(deposit(&bank, &keys()[0], CommandId::derive([what])));
    }
    fixture.runtime.block_on(all_become_stale(&bank, since));
    let healed = Instant::now();
    heals(fixture, relay);
    fixture.runtime.block_on(all_are_fresh(&bank));
    println!("{what}: fresh again after {:?}", healed.elapsed());
    if let Some(traffic) = traffic {
        let last = fixture.runtime.block_on(traffic.stop());
        fixture.runtime.block_on(until_seen(&bank, &last));
    }
}

fn each_is_detected(fixture: &CrashFixture) {
    let bank = fixture.open();
    let (mut relay, worker) = (Some(fixture.relays(1)), fixture.workers(1, Duration::ZERO));
    fixture.until_it_works(&bank);
    for fault in FAULTS {
        is_detected(fixture, &mut relay, fault);
    }
    worker.shut_down();
    relay.unwrap().shut_down();
}

#[test]
fn r3_kafka_a_bounded_read_detects_a_stopped_relay_and_a_worker_without_its_broker() {
    let test = "r3_kafka_a_bounded_read_detects_a_stopped_relay_and_a_worker_without_its_broker";
    let Some(fixture) = CrashFixture::start(test, seed()) else { return };
    each_is_detected(&fixture);
}

#[test]
fn r3_kafka_a_bounded_read_of_views_in_another_store_detects_them_by_the_marks_alone() {
    let test = "r3_kafka_a_bounded_read_of_views_in_another_store_detects_them_by_the_marks_alone";
    let Some(fixture) = CrashFixture::start(test, seed()) else { return };
    each_is_detected(&fixture.with_views_elsewhere());
}
