//! R2, R3: reads of a view whose work has stopped at an error.

use std::time::Duration;

use async_trait::async_trait;
use highwater::{
    Code, Error, Highwater, Receipt, Result, Views as _, Worker,
    consistency::{AppliedOutcome, Fallback},
    error::{Invalid, Unavailable},
    port::{Assignment, Feed, FeedSource, Membership, Progress, Subscription},
    value::{FreshnessStatus, ShardBy, ShardId, Sharding},
    worker::{OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::bank::banks;

use crate::views::{Parity, deposit};

const SHORT_BUDGET: Duration = Duration::from_millis(20);
const LONG_BUDGET: Duration = Duration::from_secs(60);

async fn work(bank: &Highwater, policy: OnFailure) -> WorkerHandle {
    let options = ProjectionOptions::default().shards(3).on_failure(policy);
    Worker::new(bank).view_with::<Parity>(options).start().await.unwrap()
}

/// Runs a worker until it has stopped at an event, and appends one more.
async fn stopped(bank: &Highwater) -> Receipt {
    let first = deposit(bank, "alice", 2).await;
    let worker = work(bank, OnFailure::Stop).await;
    bank.view::<Parity>().get("even").after(&first).within(LONG_BUDGET).await.unwrap();
    deposit(bank, "alice", 666).await;
    worker.statuses()[0].clone().until(ProjectionState::is_stopped).await;
    worker.stop().await.unwrap_err();
    deposit(bank, "alice", 4).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_r3_a_view_that_has_stopped_says_so_until_its_next_commit() {
    for store in banks() {
        stopped(&store.open().await).await;
        // The stop outlives the worker and its process.
        let bank = store.open().await;
        let even = || bank.view::<Parity>().get("even");
        let freshness = even().await.unwrap().freshness();
        let FreshnessStatus::Stopped(at) = freshness.status() else { panic!("{freshness}") };
        assert!(at <= freshness.read_at, "{freshness}");
        assert_eq!(freshness.lag(), Some(2));
        assert!(bank.view::<Parity>().freshness().await.unwrap().is_stopped());
        let page = bank.view::<Parity>().range(.., 9).await.unwrap();
        assert!(page.freshness().is_stopped(), "{}", page.freshness());
        let stops = bank.view::<Parity>().stops().await.unwrap();
        assert_eq!(stops.len(), 1, "{stops:?}");
        for word in ["HW506", "even", "the number of the beast"] {
            assert!(stops[0].error.contains(word), "no {word:?} in: {}", stops[0].error);
        }

        let receipt = deposit(&bank, "alice", 6).await;
        let late = || even().after(&receipt).within(SHORT_BUDGET);
        let error = late().await.unwrap_err();
        let Error::Unavailable(unavailable) = &error else { panic!("{error}") };
        let Unavailable::StaleRead(pending) = &**unavailable else { panic!("{error}") };
        assert!(pending.reached.is_stopped() && pending.estimate.is_none(), "{pending}");
        let stale = late().or(Fallback::ServeStale).await.unwrap();
        assert!(stale.is_stale() && stale.freshness().is_stopped());
        let applied = bank.view::<Parity>().applied("even", &receipt).within(SHORT_BUDGET);
        let AppliedOutcome::Pending(pending) = applied.await.unwrap() else { panic!() };
        assert!(pending.reached.is_stopped(), "{pending}");

        let worker = work(&bank, OnFailure::Skip).await;
        let even = even().after(&receipt).within(LONG_BUDGET).await.unwrap();
        assert_eq!((even.cents, even.freshness().status()), (12, FreshnessStatus::Current));
        assert!(bank.view::<Parity>().stops().await.unwrap().is_empty());
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_a_row_of_a_shard_that_has_not_stopped_is_converging() {
    for store in banks() {
        let bank = store.open().await;
        stopped(&bank).await;
        let view = highwater::domain::ViewName::new("parity").unwrap();
        let state = bank.views().read_view(&view, &[]).await.unwrap().state;
        let stopped = state.stops[0].shard;
        let names = (0..100).map(|number| format!("k{number}"));
        let names: Vec<_> =
            names.filter(|key| state.sharding.shard_of(key) != stopped).take(3).collect();
        for key in names {
            let freshness = bank.view::<Parity>().get(key).find().await.unwrap().freshness();
            assert!(!freshness.is_stopped(), "{freshness}");
        }
    }
}

/// A source that refuses its members for good: at once, or when they ask for their shards.
#[derive(Clone, Copy)]
struct Refusing {
    at_once: bool,
}

impl Refusing {
    fn refusal() -> Error {
        Invalid::new(Code::BAD_CREDENTIALS, "this user may not read the group").into()
    }
}

#[async_trait]
impl FeedSource for Refusing {
    async fn sharding(&self, _: ShardBy, shards: u32) -> Result<Sharding> {
        Ok(Sharding::by_key(shards))
    }

    async fn join(&self, _: Subscription) -> Result<Box<dyn Membership>> {
        if self.at_once { Err(Self::refusal()) } else { Ok(Box::new(*self)) }
    }
}

#[async_trait]
impl Membership for Refusing {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        Err(Self::refusal())
    }

    async fn open(&mut self, _: ShardId, _: &Progress) -> Result<Box<dyn Feed>> {
        Err(Self::refusal())
    }

    async fn released(&mut self, _: ShardId) -> Result<()> {
        Ok(())
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Runs a worker that is refused, until it has stopped.
async fn refused(bank: &Highwater, source: Refusing) {
    let options = ProjectionOptions::default().shards(3);
    let worker = Worker::new(bank).fed_by(source).view_with::<Parity>(options).start();
    let worker = worker.await.unwrap();
    worker.statuses()[0].clone().until(ProjectionState::is_stopped).await;
    assert_eq!(worker.stop().await.unwrap_err().code(), Code::BAD_CREDENTIALS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_a_view_whose_only_worker_is_refused_as_a_member_has_stopped() {
    for store in banks() {
        for at_once in [true, false] {
            let bank = store.open().await;
            let receipt = deposit(&bank, "alice", 2).await;
            refused(&bank, Refusing { at_once }).await;
            let elsewhere = store.open().await;
            let view = elsewhere.view::<Parity>();
            assert!(view.freshness().await.unwrap().is_stopped());
            let stops = view.stops().await.unwrap();
            assert_eq!(stops.len(), 3, "{stops:?}");
            for stop in &stops {
                assert!(stop.error.contains("HW605: ") && stop.error.contains("the group"));
            }
            // A worker that is not refused has nothing to wait for.
            let worker = work(&bank, OnFailure::Stop).await;
            let read = view.get("even").after(&receipt).within(LONG_BUDGET).await.unwrap();
            assert_eq!(read.freshness().status(), FreshnessStatus::Current);
            worker.stop().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_a_view_that_another_worker_has_does_not_stop_with_one_that_is_refused() {
    for store in banks() {
        let bank = store.open().await;
        let worker = work(&bank, OnFailure::Stop).await;
        let first = deposit(&bank, "alice", 2).await;
        let view = bank.view::<Parity>();
        view.range(.., 9).after(&first).within(LONG_BUDGET).await.unwrap();
        for at_once in [true, false] {
            refused(&store.open().await, Refusing { at_once }).await;
            assert!(view.stops().await.unwrap().is_empty());
            let receipt = deposit(&bank, "alice", 2).await;
            let read = view.get("even").after(&receipt).within(LONG_BUDGET).await.unwrap();
            assert_eq!(read.freshness().status(), FreshnessStatus::Current);
        }
        worker.stop().await.unwrap();
    }
}
