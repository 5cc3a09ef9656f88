//! R3: reads whose budget ends while the view is slow to answer.

use std::{
    future::{Future, IntoFuture as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use highwater::{
    Code, Highwater, Receipt, Result, Views as _,
    consistency::{Fallback, Reading},
    port::Clock,
    stores::{SystemClock, SystemIds},
    value::Timestamp,
};
use highwater_test_support::bank::{Balance, Bank, banks};
use tokio::sync::watch;

use crate::{
    counting::{self, Counts},
    views::{deposit, work_until},
};

/// A clock on which budgets end on demand.
#[derive(Clone, Default)]
struct Budget(Arc<watch::Sender<bool>>);

#[async_trait]
impl Clock for Budget {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    async fn sleep(&self, _: Duration) {
        let _ = self.0.subscribe().wait_for(|is_over| *is_over).await;
    }
}

type Read = Pin<Box<dyn Future<Output = Result<Reading<Balance>>> + Send>>;

/// A waiting read, while a read of the current state of the view is under way.
struct Waiting {
    writer: Highwater,
    /// The write that the view can apply meanwhile.
    next: Receipt,
    read: Read,
    counts: Arc<Counts>,
    budget: Budget,
}

impl Waiting {
    async fn on(store: &Bank, fallback: Fallback) -> Self {
        let writer = store.open().await;
        work_until::<Balance>(&writer, &deposit(&writer, "alice", 1).await).await;
        let next = deposit(&writer, "alice", 2).await;
        let budget = Budget::default();
        let (store, counts) = counting::counted(store).await;
        let reader = Highwater::with_store(&store, budget.clone(), SystemIds).build();
        let read = reader.view::<Balance>().get("alice").after(&next).or(fallback).into_future();
        let mut waiting = Self { writer, next, read, counts, budget };
        waiting.waits_until(|counts| Counts::of(&counts.waiting) > 0).await;
        waiting.counts.is_held.send_replace(true);
        waiting.waits_until(|counts| Counts::of(&counts.held) > 0).await;
        waiting
    }

    fn has_waited_enough(&self) {
        self.budget.0.send_replace(true);
    }

    /// Polls the read, which waits, until the condition holds.
    async fn waits_until(&mut self, is_so: impl Fn(&Counts) -> bool) {
        while !is_so(&self.counts) {
            assert!(self.answer().await.is_none(), "the read has ended");
            tokio::task::yield_now().await;
        }
    }

    /// Returns the result of the read, if it has ended.
    async fn answer(&mut self) -> Option<Result<Reading<Balance>>> {
        poll_fn(|context| match self.read.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_row_served_at_the_end_of_the_budget_was_read_at_that_time() {
    for store in banks() {
        let mut waiting = Waiting::on(&store, Fallback::ServeStale).await;
        // The read under way is older than this write.
        work_until::<Balance>(&waiting.writer, &waiting.next).await;
        waiting.has_waited_enough();
        assert!(waiting.answer().await.is_none(), "the view has not been read since");
        waiting.counts.is_held.send_replace(false);
        let read = waiting.read.await.unwrap();
        assert_eq!((read.cents, read.freshness().position), (3, waiting.next.position()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_wait_ends_with_its_budget_although_the_view_no_longer_answers() {
    for store in banks() {
        let waiting = Waiting::on(&store, Fallback::Fail).await;
        waiting.has_waited_enough();
        let error = waiting.read.await.unwrap_err();
        assert_eq!(error.code(), Code::STALE_READ, "{error}");
        assert!(*waiting.counts.is_held.borrow(), "the view has not been read since");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_view_that_never_answers_times_out_for_a_single_read_and_for_a_shared_one() {
    let tests = banks().into_iter().map(|store| async move {
        let bank = store.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let next = deposit(&bank, "alice", 2).await;
        let (counted, counts) = counting::counted(&store).await;
        let reader = Highwater::with_store(&counted, SystemClock, SystemIds).build();
        let long = Duration::from_secs(300);
        let waits = reader.view::<Balance>().get("alice").after(&next).within(long);
        let waits = tokio::spawn(waits.find());
        while Counts::of(&counts.waiting) == 0 {
            tokio::task::yield_now().await;
        }
        counts.is_held.send_replace(true);
        // The shared read is under way, and has not returned.
        work_until::<Balance>(&bank, &next).await;
        let first = reader.view::<Balance>().get("alice").within(Duration::ZERO).find();
        for outcome in [first.await, waits.await.unwrap()] {
            let error = outcome.unwrap_err();
            assert_eq!(error.code(), Code::UNREACHABLE, "{error}");
        }
        // A read that starts after the view responds again succeeds.
        counts.is_held.send_replace(false);
        let read = reader.view::<Balance>().get("alice").after(&next).await.unwrap();
        assert_eq!(read.cents, 3);
    });
    futures_util::future::join_all(tests).await;
}
