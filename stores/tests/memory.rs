//! The memory store, alone and under the decorator that injects faults.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![cfg(feature = "testing")]

use std::{
    future::{Future, ready},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use highwater_core::{
    Code, Error, Position, Query, Result,
    domain::{TransactionHook, ViewName, ViewSpec},
    port::{
        Append, Appended, Claim, ClaimMode, Clock, EventStore, LeaseStore as _, Progress,
        ShardClaim, ViewCommit, ViewStore, WorkerId,
    },
    testing::ManualClock,
    value::{Expected, ShardId, Sharding},
};
use highwater_stores::{
    MemoryStore, conformance,
    testing::{Faults, Faulty, Fixture, build, race::race, read, seed},
};
use jiff::{SignedDuration, Timestamp};

conformance!(memory, || async {
    let store = MemoryStore::default();
    Fixture::new(move || ready(store.clone())).await
});

conformance!(faulty_without_faults, || async {
    let store = Faulty::new(MemoryStore::default(), Faults::none());
    Fixture::new(move || ready(store.clone())).await
});

conformance!(faulty_with_late_answers, || async {
    let faults = Faults::seeded(7).delayed(0.05, Duration::from_millis(2));
    let store = Faulty::new(MemoryStore::default(), faults);
    Fixture::new(move || ready(store.clone())).await
});

/// Retries the same command until the store responds with success.
async fn retry_until_stored<F>(send: impl Fn() -> F) -> Appended
where
    F: Future<Output = Result<Appended>>,
{
    loop {
        match send().await {
            Ok(appended) => return appended,
            Err(error) => assert!(error.is_unavailable() || error.is_unknown_outcome(), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_under_faults_commands_retried_until_answered_are_stored_exactly_once() {
    let faults = Faults::seeded(seed())
        .unavailable(0.2)
        .unsent(0.2)
        .lost(0.3)
        .delayed(0.2, Duration::from_millis(1));
    let store = Faulty::new(MemoryStore::default(), faults);
    let answers = race((0..32).map(|task| {
        let store = store.clone();
        let stream = build::stream(&(task % 4).to_string());
        async move {
            let mut answers = Vec::new();
            for _ in 0..20 {
                let append = build::append_to(&stream, Expected::Any, build::events(2));
                answers.push((
                    append.clone(),
                    retry_until_stored(|| store.append(append.clone())).await,
                ));
            }
            answers
        }
    }))
    .await;
    assert!(store.struck() > 640, "each command failed about once");
    let log = read::log(store.inner(), &Query::all()).await;
    assert_eq!(log.len(), 2 * 32 * 20);
    for (append, answer) in answers.into_iter().flatten() {
        let stored = log.iter().filter(|event| event.command == append.command);
        let last = stored.clone().last().map(|event| event.position);
        assert_eq!((stored.count(), last), (2, Some(answer.position)));
    }
}

#[tokio::test]
async fn each_fault_reports_truly_what_may_have_happened() {
    let append = || build::append_one(&build::stream("a"), build::event());
    let try_with = async |faults: Faults| {
        let store = Faulty::new(MemoryStore::default(), faults);
        let error = store.append(append()).await.unwrap_err();
        (error, store.inner().head().await.unwrap().get())
    };
    let (error, stored) = try_with(Faults::none().unavailable(1.0)).await;
    assert!(error.is_unavailable() && stored == 0, "{error}");
    let (error, stored) = try_with(Faults::none().unsent(1.0)).await;
    assert!(error.is_unknown_outcome() && stored == 0, "{error}");
    let (error, stored) = try_with(Faults::none().lost(1.0)).await;
    assert!(error.is_unknown_outcome() && stored == 1, "{error}");
}

#[tokio::test]
async fn one_seed_gives_one_plan() {
    let run = async || {
        let store = Faulty::new(MemoryStore::default(), Faults::seeded(42).lost(0.3).unsent(0.3));
        let mut codes = Vec::new();
        for _ in 0..50 {
            let append = build::append_one(&build::stream("a"), build::event());
            codes.push(store.append(append).await.map_err(|error| error.code()).is_ok());
        }
        (codes, store.inner().head().await.unwrap())
    };
    assert_eq!(run().await, run().await);
}

/// A clock that goes backward with each reading.
struct Backward(AtomicI64);

#[async_trait::async_trait]
impl Clock for Backward {
    fn now(&self) -> Timestamp {
        let second = self.0.fetch_sub(1, Ordering::Relaxed);
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn w3_recorded_times_stand_still_while_the_clock_goes_backward() {
    let store = MemoryStore::new(Arc::new(Backward(AtomicI64::new(1_700_000_000))));
    for _ in 0..3 {
        store.append(build::append_one(&build::stream("a"), build::event())).await.unwrap();
    }
    let log = read::log(&store, &Query::all()).await;
    assert!(log.iter().all(|event| event.recorded_at.as_second() == 1_700_000_000));
}

#[derive(Debug)]
struct OutboxRow;

impl TransactionHook for OutboxRow {}

#[tokio::test]
async fn an_append_hook_is_refused_without_a_transaction() {
    let store = MemoryStore::default();
    let append = build::append_one(&build::stream("a"), build::event());
    let append = Append { hook: Some(Arc::new(OutboxRow)), ..append };
    let error: Error = store.append(append).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_REQUEST);
    assert_eq!(store.head().await.unwrap(), Position::START);
}

const LEASE: Duration = Duration::from_secs(10);

fn balances() -> ViewSpec {
    ViewSpec::rows(ViewName::new("balances").unwrap())
}

async fn claim(store: &impl ViewStore, worker: &str, claiming: ClaimMode) -> Result<Option<Claim>> {
    let view = balances().name;
    let worker = WorkerId::new(worker).unwrap();
    store
        .claim_shard(ShardClaim {
            view: view.clone(),
            sharding: Sharding::SINGLE,
            shard: ShardId::FIRST,
            worker: worker.clone(),
            mode: claiming,
            lease: LEASE,
            definition: None,
        })
        .await
}

/// Returns a commit to the next position, with the position as the row.
fn next(claim: &Claim) -> ViewCommit {
    let position = Position::new(claim.progress.position.get() + 1);
    let to = Progress { position, ..Progress::default() };
    let rows = vec![("count".to_owned(), Some(position.get().to_string().into()))];
    ViewCommit { rows, ..ViewCommit::new(balances().name, claim, to) }
}

#[tokio::test]
async fn r1_a_lease_expires_exactly_at_its_end() {
    let clock = ManualClock::default();
    let store = MemoryStore::new(Arc::new(clock.clone()));
    store.open_view(&balances(), Sharding::SINGLE).await.unwrap();
    claim(&store, "first", ClaimMode::IfFree).await.unwrap().unwrap();
    clock.advance(LEASE / 2);
    store.heartbeat(&balances().name, &WorkerId::new("first").unwrap(), LEASE).await.unwrap();
    clock.advance(LEASE - Duration::from_nanos(1));
    assert_eq!(claim(&store, "other", ClaimMode::IfFree).await.unwrap(), None);
    clock.advance(Duration::from_nanos(1));
    assert!(claim(&store, "other", ClaimMode::IfFree).await.unwrap().is_some());
}

#[tokio::test]
async fn r1_a_commit_hook_is_refused_without_a_transaction() {
    let store = MemoryStore::default();
    store.open_view(&balances(), Sharding::SINGLE).await.unwrap();
    let claim = claim(&store, "first", ClaimMode::IfFree).await.unwrap().unwrap();
    let commit = ViewCommit { hook: Some(Arc::new(OutboxRow)), ..next(&claim) };
    assert_eq!(store.commit_view(commit).await.unwrap_err().code(), Code::BAD_REQUEST);
    store.commit_view(next(&claim)).await.unwrap();
}

/// A worker that claims the shard again whenever its progress is unknown.
#[tokio::test]
async fn r1_under_faults_a_worker_that_checks_its_progress_counts_each_step_once() {
    let faults = Faults::seeded(seed()).unavailable(0.1).unsent(0.1).lost(0.3);
    let store = Faulty::new(MemoryStore::default(), faults);
    while store.open_view(&balances(), Sharding::SINGLE).await.is_err() {}
    let mut position = 0;
    let mut losses = 0;
    loop {
        let Ok(Some(claim)) = claim(&store, "first", ClaimMode::Always).await else { continue };
        assert!(claim.progress.position.get() >= position, "an acknowledged commit is never lost");
        position = claim.progress.position.get();
        if position == 200 {
            break;
        }
        match store.commit_view(next(&claim)).await {
            Ok(()) => position += 1,
            Err(error) => {
                assert!(error.is_unavailable(), "{error}");
                losses += 1;
            }
        }
    }
    assert!(losses > 20, "{losses}");
    let read = store.inner().read_view(&balances().name, &["count".to_owned()]).await.unwrap();
    assert_eq!(read.rows[0].value.as_deref(), Some(&b"200"[..]));
}

#[tokio::test]
async fn r1_each_fault_of_a_commit_requires_a_check_of_the_progress() {
    for (faults, written) in [
        (Faults::none().unavailable(1.0), 0),
        (Faults::none().unsent(1.0), 0),
        (Faults::none().lost(1.0), 1),
    ] {
        let store = MemoryStore::default();
        store.open_view(&balances(), Sharding::SINGLE).await.unwrap();
        let claim = claim(&store, "first", ClaimMode::IfFree).await.unwrap().unwrap();
        let error = Faulty::new(store.clone(), faults).commit_view(next(&claim)).await;
        assert!(error.unwrap_err().is_unavailable());
        let state = store.read_view(&balances().name, &[]).await.unwrap().state;
        assert_eq!(state.shards[0].position.get(), written);
    }
}
