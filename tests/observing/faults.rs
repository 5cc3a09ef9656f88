//! Metrics under faults: waits, lags, lost responses, missing brokers (O2).

use std::time::{Duration, Instant};

use highwater::{
    execute::{ConflictPolicy, Retry},
    prelude::*,
    stores::{self, MemoryStore},
    testing::WorkerFaults,
};
use highwater_test_support::bank::{Account, Balance, Deposit};

use crate::{
    meter::{Meter, measured},
    metrics::on_every_store,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const SHORT_BUDGET: Duration = Duration::from_millis(20);

async fn deposited(bank: &Highwater) -> Receipt {
    bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap()
}

/// Creates the view, and applies all events.
async fn viewed(bank: &Highwater) {
    let worker = Worker::new(bank).view::<Balance>().start().await.unwrap();
    let receipt = deposited(bank).await;
    bank.view::<Balance>().get("alice").after(&receipt).within(TIMEOUT).await.unwrap();
    worker.stop().await.unwrap();
}

#[test]
fn o2_waits_are_measured_by_level_and_outcome() {
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        viewed(&bank).await;
        let waits = |level: &str, outcome: &str| {
            let labels = format!("{{level={level},outcome={outcome}}}");
            format!("highwater_wait_duration_seconds{labels}")
        };
        let reached = waits("read_your_writes", "reached");
        let before = meter.value(&reached);
        let receipt = deposited(&bank).await;
        let alice = || bank.view::<Balance>().get("alice");

        // No worker runs, so no wait can succeed.
        alice().after(&receipt).within(SHORT_BUDGET).await.unwrap_err();
        alice().after(&receipt).within(SHORT_BUDGET).await.unwrap_err();
        let late = waits("read_your_writes", "late");
        assert_eq!(meter.value(&late), 2.0);
        assert!(meter.sum(&late) >= 2.0 * 0.015, "two budgets are 40 ms, not {}", meter.sum(&late));
        alice().bounded(Duration::ZERO).within(SHORT_BUDGET).await.unwrap_err();
        assert_eq!(meter.value(&waits("bounded", "late")), 1.0);
        assert_eq!(meter.value(&reached), before);

        // A read that is faster than the worker waits, and the wait is measured.
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        let (mut receipt, mut reads, began) = (receipt, 0.0, Instant::now());
        while meter.value(&reached) == before {
            assert!(began.elapsed() < TIMEOUT, "no read of {reads} had to wait");
            receipt = deposited(&bank).await;
            alice().after(&receipt).within(TIMEOUT).await.unwrap();
            reads += 1.0;
        }
        assert!(meter.value(&reached) <= before + reads);
        // A read of a current view does not wait.
        let before = meter.value(&reached);
        alice().after(&receipt).await.unwrap();
        alice().await.unwrap();
        assert_eq!(meter.value(&reached), before);
        assert_eq!(meter.value(&waits("eventual", "reached")), 0.0);
        worker.stop().await.unwrap();
    });
}

#[test]
fn o2_a_worker_that_cannot_commit_reports_its_lag_in_events_and_in_time() {
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        let began = Instant::now();
        viewed(&bank).await;
        let mut faults = WorkerFaults::none(7);
        faults.before_commit = 1.0;
        let worker = Worker::new(&bank).view::<Balance>().with_faults(&faults);
        let worker = worker.start().await.unwrap();
        deposited(&bank).await;
        deposited(&bank).await;
        meter.until("highwater_projection_lag_events{projection=balances,shard=0}", 2.0).await;
        // The lag can't be longer than the test.
        let seconds = "highwater_projection_lag_seconds{projection=balances,shard=0}";
        meter.until_it(seconds, |seconds| seconds > 0.0).await;
        assert!(meter.value(seconds) <= began.elapsed().as_secs_f64() + 0.01);
        let retries = "highwater_projection_retries_total{projection=balances}";
        meter.until_it(retries, |count| count >= 1.0).await;
        worker.stop().await.unwrap();
        assert_eq!(meter.value(seconds), 0.0, "no worker of this process holds the shard");
    });
}

#[test]
fn o2_appends_of_unknown_outcome_are_counted_by_whether_the_caller_sees_them() {
    use highwater::stores::testing::{Faults, Faulty};

    measured(async |meter: Meter| {
        let store = Faulty::new(MemoryStore::default(), Faults::none().unsent(1.0));
        let retry = Retry { max_retries: 3, ..Retry::default() };
        let bank = stores::on(store).on_conflict(ConflictPolicy::Retry(retry)).build();
        let deposit = bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await;
        assert!(deposit.unwrap_err().is_unknown_outcome());
        let unknown = |outcome: &str| {
            meter.value(&format!("highwater_unknown_outcomes_total{{outcome={outcome}}}"))
        };
        assert_eq!((unknown("retried"), unknown("returned")), (3.0, 1.0));
        let took = "highwater_command_duration_seconds{command=deposit,outcome=unknown}";
        assert_eq!(meter.value(took), 1.0);
    });
}

#[cfg(feature = "kafka")]
#[test]
fn o2_failures_of_a_relay_are_counted() {
    use highwater::kafka::{Kafka, Relay, Topics};

    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        deposited(&bank).await;
        // No server listens there.
        let relay = Relay::new(&bank, Kafka::at("127.0.0.1:1"), Topics::one("nowhere"));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let relay = tokio::spawn(relay.run(async { drop(stopped.await) }));
        let failures = "highwater_relay_failures_total{relay=log}";
        meter.until_it(failures, |count| count >= 1.0).await;
        let events = "highwater_relay_records_total{relay=log,kind=event}";
        assert_eq!(meter.value(events), 0.0);
        stop.send(()).unwrap();
        relay.await.unwrap().unwrap();
    });
}
