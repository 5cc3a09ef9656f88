//! More readers of single rows than connections: waiting reads are batched.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use highwater_core::{
    Code, NextStep, Position,
    domain::{ViewName, ViewSpec},
    port::{ClaimMode, Progress, ShardClaim, Store, ViewCommit, WorkerId},
    value::{ShardId, Sharding},
};

use super::{error_messages, server::Server};

/// The number of concurrent readers; the store has four connections.
const READERS: u64 = 64;
const READS: u64 = 30;
const COMMITS: u64 = 200;

fn view() -> ViewName {
    ViewName::new("meeting").unwrap()
}

/// Commits repeatedly, with the position as the value of every row, and publishes the position.
async fn write(store: &dyn Store, done: &AtomicU64) {
    let worker = WorkerId::new("worker").unwrap();
    let lease = Duration::from_secs(3_600);
    let claiming = ClaimMode::Always;
    let claim = store
        .claim_shard(ShardClaim {
            view: view(),
            sharding: Sharding::SINGLE,
            shard: ShardId::FIRST,
            worker: worker.clone(),
            mode: claiming,
            lease,
            definition: None,
        })
        .await;
    let mut claim = claim.unwrap().unwrap();
    for number in 1..=COMMITS {
        let to = Progress { position: Position::new(number), ..Progress::default() };
        let row = |key: u64| (key.to_string(), Some(number.to_string().into()));
        let rows = (0..READERS / 2).map(row).collect();
        let commit = ViewCommit { rows, ..ViewCommit::new(view(), &claim, to.clone()) };
        store.commit_view(commit).await.unwrap();
        claim.progress = to;
        done.store(number, Ordering::SeqCst);
    }
}

/// Reads a row repeatedly. Half of the keys have none.
async fn read(store: &dyn Store, key: u64, done: &AtomicU64) {
    for _ in 0..READS {
        let before = done.load(Ordering::SeqCst);
        let read = store.read_view(&view(), &[key.to_string()]).await.unwrap();
        let position = read.state.least().position.get();
        assert!(position >= before, "a read that began at {before} sees {position}");
        let [row] = read.rows.as_slice() else { panic!("{read:?}") };
        let value = row.value.as_ref().map(|value| std::str::from_utf8(value).unwrap());
        let has_row = key < READERS / 2 && position > 0;
        assert_eq!(value.map(str::to_owned), has_row.then(|| position.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_batched_reads_get_their_own_row_and_everything_committed_before_each() {
    let Some(server) =
        Server::of("r2_batched_reads_get_their_own_row_and_everything_committed_before_each").await
    else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(server.open().await.unwrap());
    store.open_view(&ViewSpec::rows(view()), Sharding::SINGLE).await.unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let readers = (0..READERS).map(|key| {
        let store = Arc::clone(&store);
        let done = Arc::clone(&done);
        tokio::spawn(async move { read(&*store, key, &done).await })
    });
    let readers: Vec<_> = readers.collect();
    write(&*store, &done).await;
    join_all(readers).await.into_iter().for_each(Result::unwrap);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batched_reads_all_get_the_error() {
    let Some(server) = Server::of("reads_that_meet_are_told").await else { return };
    let store = server.open().await.unwrap();
    let reads = (0..READERS).map(|key| {
        let store: Arc<dyn Store> = Arc::new(store.clone());
        tokio::spawn(async move { store.read_view(&view(), &[key.to_string()]).await })
    });
    for read in join_all(reads).await {
        let error = read.unwrap().unwrap_err();
        error_messages::check(&error, Code::VIEW_MISSING, NextStep::Retry, &["meeting"]);
    }
}
