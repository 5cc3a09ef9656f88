//! R3: events of the caller's own command that the view has not applied yet.

use std::time::Duration;

use highwater::{
    Code, Position, Views as _,
    consistency::{Basis, Fallback},
    value::FreshnessStatus,
};
use highwater_test_support::bank::{Balance, banks};

use crate::views::{Parity, deposit, work_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_an_optimistic_read_includes_the_callers_events_and_is_marked_as_optimistic() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let others = deposit(&bank, "alice", 10).await;
        let own = deposit(&bank, "alice", 100).await;
        let alice = || bank.view::<Balance>().get("alice");
        let read = alice().with_own(&own).await.unwrap();
        assert_eq!((read.cents, read.basis()), (101, Basis::Optimistic));
        // The optimistic row does not advance the position of the view.
        assert_eq!(
            (read.freshness().status(), read.freshness().lag()),
            (FreshnessStatus::Converging, Some(2))
        );
        let both = alice().with_own(&own).with_own(&others).await.unwrap();
        assert_eq!((both.cents, both.basis()), (111, Basis::Optimistic));
        let elsewhere = bank.view::<Balance>().get("bob").with_own(&own).find().await.unwrap();
        assert_eq!((elsewhere.is_none(), elsewhere.basis()), (true, Basis::View));
        let strong = alice().with_own(&own).strong().await.unwrap_err();
        assert_eq!(strong.code(), Code::BAD_REQUEST);
        // Events that the view has applied are not folded twice.
        work_until::<Balance>(&bank, &own).await;
        let seen = alice().with_own(&own).with_own(&others).await.unwrap();
        assert_eq!((seen.cents, seen.basis()), (111, Basis::View));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_an_optimistic_read_has_a_row_that_the_view_lacks() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Parity>(&bank, &deposit(&bank, "alice", 2).await).await;
        let own = deposit(&bank, "bob", 3).await;
        let odd = bank.view::<Parity>().get("odd").with_own(&own).await.unwrap();
        assert_eq!((odd.cents, odd.basis()), (3, Basis::Optimistic));
        let even = bank.view::<Parity>().get("even").with_own(&own).await.unwrap();
        assert_eq!((even.cents, even.basis()), (2, Basis::View));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_an_optimistic_read_of_a_view_behind_its_token_is_marked_as_stale() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let others = deposit(&bank, "alice", 10).await;
        let own = deposit(&bank, "alice", 100).await;
        let late = || bank.view::<Balance>().get("alice").after(&others).within(Duration::ZERO);
        let read = late().or(Fallback::ServeStale).with_own(&own).await.unwrap();
        assert_eq!((read.cents, read.basis()), (101, Basis::Stale), "the awaited event is missing");
        assert_eq!(late().with_own(&own).await.unwrap_err().code(), Code::STALE_READ);
        let folded = late().or(Fallback::Fold).with_own(&own).await.unwrap();
        assert_eq!((folded.cents, folded.basis()), (111, Basis::Folded));
    }
}

/// The queued events of the key are in no row, although the view has passed them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_r4_an_optimistic_read_of_a_parked_key_has_its_row_and_reports_what_it_lacks() {
    for bank in banks() {
        let bank = bank.open().await;
        let before = deposit(&bank, "alice", 2).await;
        let poison = deposit(&bank, "alice", 666).await;
        let behind = deposit(&bank, "alice", 4).await;
        work_until::<Parity>(&bank, &behind).await;
        let beyond = deposit(&bank, "alice", 8).await;
        for own in [&poison, &behind, &beyond] {
            let even = bank.view::<Parity>().get("even").with_own(own).await.unwrap();
            assert_eq!((even.cents, even.basis()), (2, Basis::Stale));
            assert_eq!(even.freshness().status(), FreshnessStatus::Degraded(Position::new(2)));
        }
        let even = bank.view::<Parity>().get("even").with_own(&before).await.unwrap();
        assert_eq!((even.cents, even.basis()), (2, Basis::View), "its events are in it");
    }
}
