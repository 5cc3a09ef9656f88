//! R2, R3: the result of each level while the view is behind, and after the budget.

use std::time::Duration;

use highwater::{
    Code, Error, Position, Views as _,
    consistency::{Basis, Fallback, Level, ReadPolicy},
    error::{Corrupt, Unavailable},
    value::{FreshnessStatus, Target},
};
use highwater_test_support::bank::{Balance, banks};

use crate::views::{Parity, deposit, work, work_until};

const SHORT_BUDGET: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_a_read_reports_its_lag_and_a_quiet_log_is_not_stale() {
    for bank in banks() {
        let bank = bank.open().await;
        let receipt = deposit(&bank, "alice", 1).await;
        work_until::<Balance>(&bank, &receipt).await;
        let quiet = bank.view::<Balance>().get("alice").await.unwrap().freshness();
        assert_eq!((quiet.status(), quiet.lag()), (FreshnessStatus::Current, Some(0)));
        assert_eq!((quiet.age(), quiet.as_of), (Duration::ZERO, quiet.read_at));
        deposit(&bank, "bob", 2).await;
        deposit(&bank, "bob", 3).await;
        let behind = bank.view::<Balance>().get("alice").await.unwrap().freshness();
        assert_eq!((behind.status(), behind.lag()), (FreshnessStatus::Converging, Some(2)));
        assert_eq!((behind.position, behind.head), (Position::new(1), Some(Position::new(3))));
        assert!(behind.as_of < quiet.read_at, "{behind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_strong_read_has_every_event_although_no_worker_runs() {
    for bank in banks() {
        let bank = bank.open().await;
        let receipt = deposit(&bank, "alice", 1).await;
        work_until::<Balance>(&bank, &receipt).await;
        work_until::<Parity>(&bank, &receipt).await;
        let current = bank.view::<Balance>().get("alice").strong().await.unwrap();
        assert_eq!((current.cents, current.basis()), (1, Basis::View));
        for cents in 2..=5 {
            deposit(&bank, if cents % 2 == 0 { "alice" } else { "bob" }, cents).await;
        }
        let alice = bank.view::<Balance>().get("alice").strong().await.unwrap();
        assert_eq!((alice.cents, alice.events, alice.basis()), (7, 3, Basis::Folded));
        assert!(alice.freshness().is_current());
        assert_eq!(alice.freshness().position, Position::new(5));
        let bob = bank.view::<Balance>().get("bob").strong().await.unwrap();
        assert_eq!((bob.cents, bob.events), (8, 2));
        let odd = bank.view::<Parity>().get("odd").strong().await.unwrap();
        assert_eq!((odd.cents, odd.events, odd.basis()), (9, 3, Basis::Folded));
        let missing = bank.view::<Balance>().get("nobody").strong().find().await.unwrap();
        assert!(missing.is_none() && missing.freshness().is_current());
        assert_eq!(
            bank.view::<Balance>().get("alice").await.unwrap().cents,
            1,
            "the view has not changed"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_strong_read_folds_more_than_a_page_of_events() {
    for bank in banks() {
        let bank = bank.open().await;
        let first = deposit(&bank, "alice", 2).await;
        work_until::<Balance>(&bank, &first).await;
        work_until::<Parity>(&bank, &first).await;
        let handle = bank.aggregate::<highwater_test_support::bank::Account>("alice");
        let deposits =
            (0..1_500).map(|_| handle.execute(highwater_test_support::bank::Deposit { cents: 2 }));
        for receipt in futures_util::future::join_all(deposits).await {
            receipt.unwrap();
        }
        let alice = bank.view::<Balance>().get("alice").strong().await.unwrap();
        assert_eq!((alice.cents, alice.events), (3_002, 1_501));
        let even = bank.view::<Parity>().get("even").strong().await.unwrap();
        assert_eq!((even.cents, even.events), (3_002, 1_501));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_each_fallback_applies_when_the_budget_is_spent() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let receipt = deposit(&bank, "alice", 10).await;
        let late = || bank.view::<Balance>().get("alice").after(&receipt).within(SHORT_BUDGET);

        let error = late().await.unwrap_err();
        assert_eq!(error.code(), Code::STALE_READ);
        let pending = pending(&error);
        assert_eq!(pending.target, Target::Token(receipt.token().clone()));
        assert_eq!((pending.reached.position, pending.missing()), (Position::new(1), 1));
        assert!(pending.waited >= SHORT_BUDGET && pending.estimate.is_none(), "{pending:?}");

        let stale = late().or(Fallback::ServeStale).await.unwrap();
        assert_eq!((stale.cents, stale.is_stale(), stale.basis()), (1, true, Basis::Stale));
        assert_eq!(stale.freshness().lag(), Some(1));

        let folded = late().or(Fallback::Fold).await.unwrap();
        assert_eq!((folded.cents, folded.basis()), (11, Basis::Folded));
        assert!(folded.freshness().is_current());
    }
}

fn pending(error: &Error) -> &highwater::value::Pending {
    let Error::Unavailable(unavailable) = error else { panic!("{error}") };
    let Unavailable::StaleRead(pending) = &**unavailable else { panic!("{error}") };
    pending
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_bounded_read_waits_until_the_view_is_within_the_bound() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let bounded = |bound| bank.view::<Balance>().get("alice").bounded(bound);
        // The view lacks nothing, so it satisfies every bound.
        assert_eq!(bounded(Duration::ZERO).await.unwrap().basis(), Basis::View);
        deposit(&bank, "bob", 1).await;
        // The view may lack events that are younger than an hour, and is known to lack none older.
        assert_eq!(bounded(Duration::from_secs(3_600)).await.unwrap().basis(), Basis::View);
        let error = bounded(Duration::ZERO).within(SHORT_BUDGET).await.unwrap_err();
        assert_eq!(pending(&error).target, Target::Bounded(Duration::ZERO));
        let stale =
            bounded(Duration::ZERO).within(SHORT_BUDGET).or(Fallback::ServeStale).await.unwrap();
        assert!(stale.is_stale());
        let waiting = tokio::spawn(bounded(Duration::ZERO).into_future());
        let worker = work::<Balance>(&bank).await;
        assert!(waiting.await.unwrap().unwrap().freshness().is_current());
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_r4_a_parked_key_is_never_served_as_fresh() {
    for bank in banks() {
        let bank = bank.open().await;
        deposit(&bank, "alice", 2).await;
        deposit(&bank, "alice", 666).await;
        let receipt = deposit(&bank, "alice", 3).await;
        work_until::<Parity>(&bank, &receipt).await;
        let since = Position::new(2);
        let even = || bank.view::<Parity>().get("even");
        for error in [
            even().strong().await.unwrap_err(),
            even().bounded(Duration::from_secs(60)).await.unwrap_err(),
        ] {
            let Error::Corrupt(corrupt) = &error else { panic!("{error}") };
            assert_eq!(error.code(), Code::PARKED);
            assert!(
                matches!(&**corrupt, Corrupt::Parked { key, since: s, .. } if key == "even" && *s == since)
            );
        }
        for read in [
            even().after(&receipt),
            even().strong().or(Fallback::ServeStale),
            even().bounded(Duration::from_secs(60)).or(Fallback::ServeStale),
        ] {
            let stale = read.await.unwrap();
            assert_eq!((stale.cents, stale.basis()), (2, Basis::Stale));
            assert_eq!(stale.freshness().status(), FreshnessStatus::Degraded(since));
        }
        let odd = bank.view::<Parity>().get("odd").strong().await.unwrap();
        assert_eq!((odd.cents, odd.freshness().status()), (3, FreshnessStatus::Current));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_policy_sets_everything_that_the_builder_sets() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let receipt = deposit(&bank, "alice", 10).await;
        let alice = |text: &str| {
            let policy: ReadPolicy = serde_json::from_str(text).unwrap();
            bank.view::<Balance>().get("alice").after(&receipt).with(policy)
        };
        let strong = alice(r#"{"level": "strong"}"#).await.unwrap();
        assert_eq!((strong.cents, strong.basis()), (11, Basis::Folded));
        let fold = alice(r#"{"level": "read_your_writes", "budget": "1ms", "fallback": "fold"}"#);
        assert_eq!(fold.await.unwrap().cents, 11);
        // A lower level does not hide that the row is stale.
        let lowered = alice(r#"{"level": "eventual"}"#).await.unwrap();
        assert_eq!((lowered.cents, lowered.basis()), (1, Basis::Stale));
        let lowered = bank.view::<Balance>().get("alice").after(&receipt);
        let policy = ReadPolicy { level: Level::Eventual, ..ReadPolicy::default() };
        assert!(lowered.with(policy).await.unwrap().is_stale());
    }
}
