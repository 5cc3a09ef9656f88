//! R4: the policy decides about an event that can't be applied.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use highwater::{
    Code, Highwater, Position, Token, View, Views as _, Worker,
    domain::{FoldError, FoldResult, Keys},
    prelude::*,
    projection::ParkedKeys,
    value::FreshnessStatus,
    worker::{OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{
    bank::banks,
    ledger::{Ledger, LedgerEvent, Move, Trace},
};
use serde::{Deserialize, Serialize};

/// Defines a view whose fold rejects 666 cents while a switch is set. Each test has a separate view
/// and switch.
macro_rules! picky {
    ($view:ident, $broken:ident) => {
        pub(crate) static $broken: AtomicBool = AtomicBool::new(true);

        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $view(Trace);

        impl View for $view {
            type Event = LedgerEvent;
            const NAME: &'static str = "picky";

            fn keys(event: &LedgerEvent, _: &Envelope, keys: &mut Keys) {
                if let LedgerEvent::Moved { customer, partners, .. } = event {
                    keys.push(customer.as_str());
                    partners.iter().for_each(|partner| keys.push(partner.as_str()));
                }
            }

            fn fold(&mut self, event: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
                if let LedgerEvent::Moved { customer, cents, .. } = event {
                    self.0.see(at.position.get(), *cents);
                    let poison = *cents == 666 && at.key == customer;
                    if poison && $broken.load(Ordering::Relaxed) {
                        return Err(FoldError::new("the number of the beast"));
                    }
                }
                Ok(RowChange::Keep)
            }
        }
    };
}

pub(crate) async fn work<V: View>(bank: &Highwater, policy: OnFailure) -> WorkerHandle {
    let options = ProjectionOptions::default().on_failure(policy).shards(2);
    Worker::new(bank).view_with::<V>(options).start().await.unwrap()
}

pub(crate) async fn move_money(
    bank: &Highwater,
    customer: &str,
    partners: &[&str],
    cents: i64,
) -> Token {
    let partners = partners.iter().map(|partner| (*partner).to_owned()).collect();
    let step = Move { customer: customer.to_owned(), partners, cents };
    bank.aggregate::<Ledger>(customer).execute(step).await.unwrap().token().clone()
}

fn trace(steps: &[(u64, i64)]) -> Trace {
    let mut trace = Trace::default();
    steps.iter().for_each(|(position, cents)| trace.see(*position, *cents));
    trace
}

async fn row<V: View>(
    bank: &Highwater,
    key: &str,
    token: &Token,
) -> highwater::consistency::Reading<V> {
    bank.view::<V>().get(key).after(token).within(Duration::from_secs(30)).await.unwrap()
}

picky!(Busy, BUSY_BROKEN);
picky!(Parks, PARKS_BROKEN);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_events_of_a_parked_key_wait_in_order_while_others_proceed_and_are_drained_after_the_fix()
 {
    for store in banks() {
        PARKS_BROKEN.store(true, Ordering::Relaxed);
        let bank = store.open().await;
        let policy = OnFailure::Park { at_most: 10 };
        let worker = work::<Parks>(&bank, policy).await;
        move_money(&bank, "bob", &[], 1).await;
        move_money(&bank, "bob", &["ann"], 666).await;
        move_money(&bank, "bob", &["ann"], 3).await;
        let token = move_money(&bank, "eve", &["bob", "ann"], 4).await;

        // Other keys have all events, also their part of the poison event. The parked key has the
        // position since which it waits.
        assert_eq!(row::<Parks>(&bank, "ann", &token).await.0, trace(&[(2, 666), (3, 3), (4, 4)]));
        assert_eq!(row::<Parks>(&bank, "eve", &token).await.0, trace(&[(4, 4)]));
        let bob = row::<Parks>(&bank, "bob", &token).await;
        assert_eq!(bob.0, trace(&[(1, 1)]));
        assert_eq!(bob.freshness().status(), FreshnessStatus::Degraded(Position::new(2)));

        // The parked key survives a restart, and a retry that comes too early.
        worker.stop().await.unwrap();
        let worker = work::<Parks>(&bank, policy).await;
        let token = move_money(&bank, "bob", &[], 5).await;
        assert_eq!(row::<Parks>(&bank, "bob", &token).await.0, trace(&[(1, 1)]));
        let parked = ParkedKeys::of(&bank, "picky").unwrap();
        let before = parked.list(None, 10).await.unwrap();
        assert_eq!(before.len(), 1);
        assert_eq!(
            (before[0].key.as_str(), before[0].since, before[0].queued, before[0].attempts),
            ("bob", Position::new(2), 4, 1)
        );
        assert!(before[0].error.contains("the number of the beast"), "{}", before[0].error);
        assert!(parked.retry("bob").await.unwrap());
        assert!(!parked.retry("nobody").await.unwrap());
        let again = until_attempts(&parked, 2).await;
        assert_eq!((again.since, again.queued), (Position::new(2), 4));

        // After the fix the row is what it would have been without the failure.
        PARKS_BROKEN.store(false, Ordering::Relaxed);
        assert!(parked.retry("bob").await.unwrap());
        until_drained(&parked).await;
        let steps = [(1, 1), (2, 666), (3, 3), (4, 4), (5, 5)];
        let bob = row::<Parks>(&bank, "bob", &token).await;
        assert_eq!(bob.0, trace(&steps));
        assert_eq!(bob.freshness().status(), FreshnessStatus::Current);
        let token = move_money(&bank, "bob", &[], 6).await;
        assert_eq!(row::<Parks>(&bank, "bob", &token).await.0.events, 6);
        worker.stop().await.unwrap();
    }
}

async fn until_attempts(parked: &ParkedKeys, attempts: u32) -> highwater::port::ParkedKey {
    loop {
        let key = parked.list(None, 1).await.unwrap().remove(0);
        if key.attempts == attempts {
            return key;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn until_drained(parked: &ParkedKeys) {
    while !parked.list(None, 1).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

picky!(Stops, STOPS_BROKEN);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_by_default_the_view_stops_before_the_event_and_the_worker_reports_why() {
    for store in banks() {
        STOPS_BROKEN.store(true, Ordering::Relaxed);
        let bank = store.open().await;
        let worker = work::<Stops>(&bank, OnFailure::default()).await;
        let token = move_money(&bank, "bob", &[], 1).await;
        row::<Stops>(&bank, "bob", &token).await;
        move_money(&bank, "bob", &[], 666).await;
        let mut status = worker.status("picky").unwrap().clone();
        let ProjectionState::Stopped { error, .. } =
            status.until(ProjectionState::is_stopped).await
        else {
            panic!()
        };
        assert_eq!(error.code(), Code::NOT_APPLIED);
        for word in ["picky", "bob", "event 2", "the number of the beast"] {
            assert!(error.to_string().contains(word), "no {word:?} in: {error}");
        }
        assert_eq!(worker.stop().await.unwrap_err().code(), Code::NOT_APPLIED);
        let bob = bank.view::<Stops>().get("bob").await.unwrap();
        assert_eq!((bob.0.events, bob.freshness().lag()), (1, Some(1)));
        STOPS_BROKEN.store(false, Ordering::Relaxed);
        let worker = work::<Stops>(&bank, OnFailure::default()).await;
        let token = move_money(&bank, "bob", &[], 3).await;
        assert_eq!(row::<Stops>(&bank, "bob", &token).await.0, trace(&[(1, 1), (2, 666), (3, 3)]));
        worker.stop().await.unwrap();
    }
}

picky!(Skips, SKIPS_BROKEN);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_skipped_event_has_no_effect_on_its_key_and_others_keep_theirs() {
    for store in banks() {
        SKIPS_BROKEN.store(true, Ordering::Relaxed);
        let bank = store.open().await;
        move_money(&bank, "bob", &[], 1).await;
        move_money(&bank, "bob", &["ann"], 666).await;
        let token = move_money(&bank, "bob", &[], 3).await;
        let worker = work::<Skips>(&bank, OnFailure::Skip).await;
        assert_eq!(row::<Skips>(&bank, "bob", &token).await.0, trace(&[(1, 1), (3, 3)]));
        assert_eq!(row::<Skips>(&bank, "ann", &token).await.0, trace(&[(2, 666)]));
        worker.stop().await.unwrap();
    }
}

picky!(Ceiling, CEILING_BROKEN);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_the_view_stops_beyond_the_limit_of_parked_keys() {
    for store in banks() {
        CEILING_BROKEN.store(true, Ordering::Relaxed);
        let bank = store.open().await;
        let options = ProjectionOptions::default().on_failure(OnFailure::Park { at_most: 2 });
        let worker = Worker::new(&bank).view_with::<Ceiling>(options).start().await.unwrap();
        for key in ["k1", "k2", "k3"] {
            move_money(&bank, key, &[], 666).await;
        }
        let mut status = worker.status("picky").unwrap().clone();
        let ProjectionState::Stopped { error, .. } =
            status.until(ProjectionState::is_stopped).await
        else {
            panic!()
        };
        assert_eq!(error.code(), Code::TOO_MANY_PARKED);
        let parked = ParkedKeys::of(&bank, "picky").unwrap().list(None, 10).await.unwrap();
        let keys: Vec<_> = parked.iter().map(|parked| parked.key.as_str()).collect();
        assert_eq!(keys, ["k1", "k2"]);
        worker.stop().await.unwrap_err();
    }
}
