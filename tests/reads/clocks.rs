//! R2, R3: reads after a clock was ahead for a while. Recorded times never go back, so those of the log are ahead, too.

use std::time::Duration;

use highwater::{Code, Highwater, Views as _, Worker, consistency::Basis, worker::ProjectionState};
use highwater_test_support::{bank::Balance, clock::banks_with_clocks};

use crate::views::{Parity, deposit, work_until};

const HOUR: i64 = 3_600;
const BOUND: Duration = Duration::from_secs(10);
const SHORT_BUDGET: Duration = Duration::from_millis(20);

async fn assert_stale(bank: &Highwater) {
    let alice = || bank.view::<Balance>().get("alice");
    let freshness = alice().await.unwrap().freshness();
    assert!(freshness.age() > BOUND, "{freshness}");
    let error = alice().bounded(BOUND).within(SHORT_BUDGET).await.unwrap_err();
    assert_eq!(error.code(), Code::STALE_READ);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_view_whose_time_lies_ahead_of_the_read_is_not_fresh() {
    let folder = tempfile::tempdir().unwrap();
    for (clock, bank) in banks_with_clocks(&folder).await {
        clock.set_ahead(HOUR);
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        clock.set_ahead(0);
        let receipt = deposit(&bank, "alice", 2).await;
        assert_stale(&bank).await;
        work_until::<Balance>(&bank, &receipt).await;
        let alice = bank.view::<Balance>().get("alice").bounded(BOUND).await.unwrap();
        assert_eq!((alice.cents, alice.basis()), (3, Basis::View));
    }
}

/// The worker that applied the event had the right time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_view_is_as_old_as_its_worker_saw_it_whatever_the_time_of_the_event() {
    let folder = tempfile::tempdir().unwrap();
    for (clock, bank) in banks_with_clocks(&folder).await {
        clock.set_ahead(HOUR);
        let receipt = deposit(&bank, "alice", 1).await;
        clock.set_ahead(0);
        work_until::<Balance>(&bank, &receipt).await;
        deposit(&bank, "alice", 2).await;
        // The hour has passed, and the worker is gone since.
        clock.set_ahead(HOUR + 5);
        assert_stale(&bank).await;
    }
}

/// The worker has halved a page to find the event that stopped it, and has committed what comes before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_view_that_stopped_within_a_page_is_as_old_as_its_worker_saw_it() {
    let folder = tempfile::tempdir().unwrap();
    for (clock, bank) in banks_with_clocks(&folder).await {
        clock.set_ahead(HOUR);
        deposit(&bank, "alice", 2).await;
        deposit(&bank, "alice", 666).await;
        clock.set_ahead(0);
        let worker = Worker::new(&bank).view::<Parity>().start().await.unwrap();
        worker.statuses()[0].clone().until(ProjectionState::is_stopped).await;
        worker.stop().await.unwrap_err();
        clock.set_ahead(HOUR + 5);
        let even = || bank.view::<Parity>().get("even");
        let seen = even().await.unwrap();
        assert_eq!((seen.cents, seen.freshness().position.get()), (2, 1));
        assert!(seen.freshness().age() > BOUND, "{}", seen.freshness());
        let error = even().bounded(BOUND).within(SHORT_BUDGET).await.unwrap_err();
        assert_eq!(error.code(), Code::STALE_READ);
    }
}
