//! R3: a command waits until a view has applied it, or learns that this is pending.

use std::time::Duration;

use highwater::{Position, Views as _, consistency::AppliedOutcome, value::FreshnessStatus};
use highwater_test_support::bank::{Balance, banks};

use crate::views::{Parity, deposit, work, work_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_command_is_applied_or_pending_within_its_budget() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let receipt = deposit(&bank, "alice", 1).await;
        let applied = |budget| bank.view::<Balance>().applied("alice", &receipt).within(budget);
        let AppliedOutcome::Pending(pending) = applied(Duration::from_millis(10)).await.unwrap()
        else {
            panic!("no worker has applied it");
        };
        assert_eq!((pending.missing(), pending.reached.lag()), (1, Some(1)));
        let worker = work::<Balance>(&bank).await;
        let AppliedOutcome::Applied(freshness) = applied(Duration::from_secs(30)).await.unwrap()
        else {
            panic!("the budget was long enough");
        };
        assert!(freshness.position >= receipt.position());
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_r4_a_command_on_a_parked_key_is_pending_with_the_position_of_the_failure() {
    for bank in banks() {
        let bank = bank.open().await;
        deposit(&bank, "alice", 666).await;
        let receipt = deposit(&bank, "alice", 2).await;
        work_until::<Parity>(&bank, &receipt).await;
        let outcome = bank.view::<Parity>().applied("even", &receipt).await.unwrap();
        let AppliedOutcome::Pending(pending) = outcome else { panic!("{outcome:?}") };
        assert_eq!(pending.reached.status(), FreshnessStatus::Degraded(Position::new(1)));
    }
}
