//! R3: a panic in the code of a view is an error of the read that folds, and of no other.

use std::time::Duration;

use highwater::{
    Code, Error, Highwater, Receipt, View, Views as _,
    consistency::{Basis, Fallback},
    domain::{FoldResult, Keys},
    error::NextStep,
    prelude::*,
};
use highwater_test_support::bank::{AccountEvent, banks};
use serde::{Deserialize, Serialize};

use crate::views::{deposit, work_until};

/// An amount whose key panics.
const BAD_KEY: i64 = 13;
/// An amount whose fold panics.
const BAD_FOLD: i64 = 666;

/// A view of one row for all accounts, with code that panics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Fragile {
    cents: i64,
}

impl View for Fragile {
    type Event = AccountEvent;
    const NAME: &'static str = "fragile";

    fn keys(event: &AccountEvent, _: &Envelope, keys: &mut Keys) {
        if let AccountEvent::Deposited { cents } = event {
            assert!(*cents != BAD_KEY, "no key for {cents}");
            keys.push(if cents % 2 == 0 { "even" } else { "odd" });
        }
    }

    fn fold(&mut self, event: &AccountEvent, _: &EventContext<'_>) -> FoldResult {
        if let AccountEvent::Deposited { cents } = event {
            assert!(*cents != BAD_FOLD, "no fold of {cents}");
            self.cents += cents;
        }
        Ok(RowChange::Keep)
    }
}

/// Applies a first deposit, and then deposits an amount at which the view panics.
async fn behind(bank: &Highwater, bad: i64) -> Receipt {
    work_until::<Fragile>(bank, &deposit(bank, "alice", 2).await).await;
    deposit(bank, "bob", bad).await
}

/// Asserts that the error names the view, event and stream, and the panic message.
fn assert_panicked(error: &Error, message: &str) {
    assert!(matches!(error, Error::Panicked(_)), "{error:?}");
    assert_eq!((error.code(), error.next_step()), (Code::PANICKED, NextStep::FixProgram));
    for part in ["view fragile", "event 2", "account-bob", message] {
        assert!(error.to_string().contains(part), "no {part:?} in: {error}");
    }
}

async fn assert_every_folding_read_panics(bad: i64, message: &str) {
    for bank in banks() {
        let bank = bank.open().await;
        let own = behind(&bank, bad).await;
        let even = || bank.view::<Fragile>().get("even");
        assert_panicked(&even().strong().await.unwrap_err(), message);
        assert_panicked(&even().strong().or(Fallback::ServeStale).await.unwrap_err(), message);
        assert_panicked(&even().with_own(&own).await.unwrap_err(), message);
        let late = even().after(&own).within(Duration::ZERO).or(Fallback::Fold);
        assert_panicked(&late.await.unwrap_err(), message);
        let both = bank.view::<Fragile>().get_many(["even", "odd"]).strong();
        assert_panicked(&both.await.unwrap_err(), message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_fold_that_panics_is_an_error_of_strong_and_optimistic_reads() {
    assert_every_folding_read_panics(BAD_FOLD, "no fold of 666").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_key_that_panics_is_an_error_of_strong_and_optimistic_reads() {
    assert_every_folding_read_panics(BAD_KEY, "no key for 13").await;
}

/// A waiting read is answered although another read panics meanwhile, and so is the next strong
/// read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_read_that_panics_harms_no_other() {
    for bank in banks() {
        let bank = bank.open().await;
        let bad = behind(&bank, BAD_FOLD).await;
        let long = Duration::from_secs(120);
        let waiting = bank.view::<Fragile>().get("even").after(&bad).within(long);
        let waiting = tokio::spawn(waiting.find());
        let strong = (0..50).map(|_| bank.view::<Fragile>().get("even").strong().find());
        for read in futures_util::future::join_all(strong).await {
            assert_panicked(&read.unwrap_err(), "no fold of 666");
        }
        let odd = bank.view::<Fragile>().get("odd").strong().find().await.unwrap();
        assert_eq!((odd.is_none(), odd.basis()), (true, Basis::Folded));
        // The worker parks the key, so the view passes the event.
        work_until::<Fragile>(&bank, &bad).await;
        let read = waiting.await.unwrap().unwrap();
        assert_eq!((read.as_ref().map(|row| row.cents), read.basis()), (Some(2), Basis::Stale));
    }
}
