//! R1 and R2 for a view that was resharded, renamed, or declared with a wrong key.

use std::{future::pending, time::Duration};

use async_trait::async_trait;
use highwater::{
    Code, Envelope, Highwater, Position, Query, Result, View, Worker,
    direct::DirectSource,
    domain::{FoldResult, KeyedBy, Keys, ViewName},
    port::{
        Assignment, ClaimMode, Feed, FeedSource, Membership, Progress, ReadFrom, ShardClaim,
        Subscription, ViewCommit, WorkerId,
    },
    prelude::*,
    value::{ShardBy, ShardId, Sharding},
    worker::{ProjectionOptions, ProjectionState},
};
use highwater_test_support::{
    bank::banks,
    ledger::{ByCustomer, LedgerEvent, Trace, compare, expected, step},
};
use serde::{Deserialize, Serialize};

/// A feed that reshards views and delivers nothing, so that the state after a reshard can be
/// examined.
struct IdleSource;

#[async_trait]
impl FeedSource for IdleSource {
    async fn sharding(&self, _: ShardBy, shards: u32) -> Result<Sharding> {
        Ok(Sharding::by_key(shards))
    }

    async fn join(&self, _: Subscription) -> Result<Box<dyn Membership>> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Membership for IdleSource {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        pending().await
    }

    async fn open(&mut self, _: ShardId, _: &Progress) -> Result<Box<dyn Feed>> {
        pending().await
    }

    async fn released(&mut self, _: ShardId) -> Result<()> {
        Ok(())
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

async fn whole_log(bank: &Highwater) -> Vec<Envelope> {
    let all = ReadFrom::After(Position::START);
    bank.log().read_log(&Query::all(), all, usize::MAX).await.unwrap().events
}

/// Commits the progress of each shard of a view at an event of the log.
async fn put(bank: &Highwater, view: &ViewName, sharding: Sharding, at: &[&Envelope]) {
    let (views, worker) = (bank.views(), WorkerId::new("earlier").unwrap());
    for (shard, event) in sharding.all().zip(at) {
        let (always, lease) = (ClaimMode::Always, Duration::from_secs(60));
        let claim = views
            .claim_shard(ShardClaim {
                view: view.clone(),
                sharding,
                shard,
                worker: worker.clone(),
                mode: always,
                lease,
                definition: None,
            })
            .await;
        let (position, as_of) = (event.position, event.recorded_at);
        let to = Progress { position, as_of, ..Progress::default() };
        let commit = ViewCommit::new(view.clone(), &claim.unwrap().unwrap(), to);
        views.commit_view(commit).await.unwrap();
    }
    views.leave(view, &worker).await.unwrap();
}

/// A reshard brings a shard that is behind to the position of the others, with the time of the
/// event there: neither the time of its own last event, nor that of the last event in the page that
/// was read.
#[tokio::test]
async fn r2_a_resharded_view_is_as_of_the_last_event_that_it_has_applied() {
    for store in banks() {
        let bank = store.open().await;
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..12 {
            step(&bank, &mut random).await;
            // Two events must not have the same time.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (log, spec) = (whole_log(&bank).await, ByCustomer::spec().unwrap());
        let two = Sharding::by_key(2);
        bank.views().open_view(&spec, two).await.unwrap();
        put(&bank, &spec.name, two, &[&log[2], &log[8]]).await;
        let options = ProjectionOptions::default().shards(3);
        let worker = Worker::new(&bank).fed_by(IdleSource).view_with::<ByCustomer>(options);
        let worker = worker.start().await.unwrap();
        let running = |state: &ProjectionState| matches!(state, ProjectionState::Running);
        worker.statuses()[0].clone().until(running).await;
        let state = bank.views().read_view(&spec.name, &[]).await.unwrap().state;
        assert_eq!(state.sharding, Sharding::by_key(3));
        for shard in &state.shards {
            assert_eq!((shard.position, shard.as_of), (log[8].position, log[8].recorded_at));
        }
        worker.stop().await.unwrap();
    }
}

macro_rules! called {
    ($view:ident, $name:literal, $formerly:expr) => {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        struct $view(Trace);

        impl View for $view {
            type Event = LedgerEvent;
            const NAME: &'static str = $name;
            const FORMERLY: &'static [&'static str] = $formerly;

            fn keys(event: &LedgerEvent, _: &Envelope, keys: &mut Keys) {
                if let LedgerEvent::Moved { customer, .. } = event {
                    keys.push(customer.as_str());
                }
            }

            fn fold(&mut self, event: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
                if let LedgerEvent::Moved { cents, .. } = event {
                    self.0.see(at.position.get(), *cents);
                }
                Ok(RowChange::Keep)
            }
        }
    };
}

called!(Former, "customers", &[]);
called!(Latter, "clients", &["customers"]);

/// In a deployment that renames a view, workers of the old program still run. Their view now
/// belongs to the new program.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_a_worker_under_a_former_name_stops_and_the_renamed_view_skips_and_repeats_nothing() {
    for store in banks() {
        let (old, new) = (store.open().await, store.open().await);
        let mut random = fastrand::Rng::with_seed(7);
        let lease = Duration::from_millis(250);
        let source = |bank| DirectSource::new(bank).lease(lease);
        let former = Worker::new(&old).fed_by(source(&old)).view::<Former>().start().await.unwrap();
        for _ in 0..40 {
            step(&old, &mut random).await;
        }
        let latter = Worker::new(&new).fed_by(source(&new)).view::<Latter>().start().await.unwrap();
        for _ in 0..40 {
            step(&old, &mut random).await;
        }
        let state = former.statuses()[0].clone().until(ProjectionState::is_stopped).await;
        assert_eq!(
            state.error().map(highwater::Error::code),
            Some(Code::VIEW_MISSING),
            "{state:?}"
        );
        assert!(state.error().unwrap().to_string().contains("no view customers"));
        let right = expected(&**new.log()).await;
        let rows = right.by_customer.into_iter().map(|(key, row)| (key, Latter(row.trace)));
        compare::<Latter>(&new, &rows.collect(), right.head, [].into_iter()).await;
        let gone = ViewName::new(Former::NAME).unwrap();
        let missing = new.views().read_view(&gone, &[]).await.unwrap_err();
        assert_eq!(missing.code(), Code::VIEW_MISSING);
        assert!(former.stop().await.is_err());
        latter.stop().await.unwrap();
    }
}

/// A view that declares the stream key as its key, which is the account, but returns the customer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct WronglyKeyed(Trace);

impl View for WronglyKeyed {
    type Event = LedgerEvent;
    const NAME: &'static str = "wrongly";
    const KEYED_BY: KeyedBy = KeyedBy::Stream("ledger");

    fn keys(event: &LedgerEvent, envelope: &Envelope, keys: &mut Keys) {
        Former::keys(event, envelope, keys);
    }

    fn fold(&mut self, _: &LedgerEvent, _: &EventContext<'_>) -> FoldResult {
        Ok(RowChange::Keep)
    }
}

#[tokio::test]
async fn r1_a_view_wrongly_declared_as_sharded_by_stream_stops_with_a_remedy() {
    for store in banks() {
        let bank = store.open().await;
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..5 {
            step(&bank, &mut random).await;
        }
        let worker = Worker::new(&bank).view::<WronglyKeyed>().start().await.unwrap();
        let state = worker.statuses()[0].clone().until(ProjectionState::is_stopped).await;
        let error = state.error().unwrap();
        assert_eq!(error.code(), Code::NOT_APPLIED, "{error}");
        assert!(error.to_string().contains("leave `by_stream` out"), "{error}");
        worker.stop().await.unwrap_err();
    }
}
