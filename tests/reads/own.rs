//! R3: the caller's own, which the view has not seen yet.

use highwater::{Basis, Code, Status, Views as _};

use crate::{
    bank::{Balance, banks},
    views::{Parity, deposit, work_until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_an_optimistic_read_has_what_is_ones_own_and_says_what_it_is() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let others = deposit(&bank, "alice", 10).await;
        let own = deposit(&bank, "alice", 100).await;
        let alice = || bank.view::<Balance>().get("alice");
        let read = alice().with_own(&own).await.unwrap();
        assert_eq!((read.cents, read.basis()), (101, Basis::Optimistic));
        // How far the view is does not become more by it.
        assert_eq!(
            (read.freshness().status(), read.freshness().lag()),
            (Status::Converging, Some(2))
        );
        let both = alice().with_own(&own).with_own(&others).await.unwrap();
        assert_eq!((both.cents, both.basis()), (111, Basis::Optimistic));
        let elsewhere = bank.view::<Balance>().get("bob").with_own(&own).find().await.unwrap();
        assert_eq!((elsewhere.is_none(), elsewhere.basis()), (true, Basis::View));
        let strong = alice().with_own(&own).strong().await.unwrap_err();
        assert_eq!(strong.code(), Code::BAD_REQUEST);
        // What the view has seen is not folded twice.
        work_until::<Balance>(&bank, &own).await;
        let seen = alice().with_own(&own).with_own(&others).await.unwrap();
        assert_eq!((seen.cents, seen.basis()), (111, Basis::View));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_an_optimistic_read_has_the_row_that_the_view_does_not_have_yet() {
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
