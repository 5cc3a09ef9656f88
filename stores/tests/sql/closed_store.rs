//! A closed store refuses every call.

use std::time::Duration;

use highwater_core::{
    Code, NextStep, Position, Query, ReadFrom, Result, SchemaVersion, Version,
    domain::{ViewName, ViewSpec},
    port::{
        Claim, ClaimMode, EventStore as _, Progress, ShardClaim, Snapshot, Store, ViewCommit,
        ViewState, WorkerId,
    },
    value::{Epoch, ShardId, Sharding},
};
use highwater_stores::testing::build;
use tokio::runtime::{Builder, Runtime};

use super::{
    append, commit, error_messages, network::until_it_listens, open_sqlite, server::Server,
};

async fn refuses_everything(store: &dyn Store) {
    let view = ViewName::new("balances").unwrap();
    let stream = build::stream("a");
    let snapshot = Snapshot {
        stream: stream.clone(),
        version: Version::new(1),
        head: build::event_id(),
        schema: SchemaVersion::FIRST,
        state: b"{}"[..].into(),
    };
    refused(store.append(append()).await);
    refused(store.read_stream(&stream, ReadFrom::After(Version::NONE), 1).await);
    refused(store.read_log(&Query::all(), ReadFrom::After(Position::START), 1).await);
    refused(store.head().await);
    refused(store.wait_for_append(Position::START).await);
    refused(store.find_command(build::command()).await);
    refused(store.load_snapshot(&stream).await);
    refused(store.save_snapshot(snapshot).await);
    refuses_views(store, &view).await;
}

async fn refuses_views(store: &dyn Store, view: &ViewName) {
    let (first, worker, lease) =
        (ShardId::FIRST, WorkerId::new("a").unwrap(), Duration::from_secs(1));
    let claim = Claim { shard: first, epoch: Epoch::new(1), progress: Progress::default() };
    let commit = ViewCommit::new(view.clone(), &claim, Progress::default());
    let seen = ViewState {
        sharding: Sharding::SINGLE,
        shards: vec![Progress::default()],
        stops: Vec::new(),
        definition: None,
    };
    refused(store.open_view(&ViewSpec::rows(view.clone()), Sharding::SINGLE).await);
    refused(store.read_view(view, &["a".into()]).await);
    refused(store.commit_view(commit).await);
    refused(
        store
            .claim_shard(ShardClaim {
                view: view.clone(),
                sharding: Sharding::SINGLE,
                shard: first,
                worker: worker.clone(),
                mode: ClaimMode::Always,
                lease,
                definition: None,
            })
            .await,
    );
    refused(store.heartbeat(view, &worker, lease).await);
    refused(store.release_shard(view, first, claim.epoch).await);
    refused(store.leave(view, &worker).await);
    refused(store.reshard(view, &[claim], Sharding::SINGLE).await);
    refused(store.parked_keys(view, None, 1).await);
    refused(store.queued_events(view, "a", Position::START, 1).await);
    refused(store.retry_parked(view, "a").await);
    refused(store.wait_for_view_change(view, &seen).await);
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T>) {
    error_messages::check(
        &outcome.unwrap_err(),
        Code::CLOSED,
        NextStep::Retry,
        &["has been closed"],
    );
}

#[tokio::test]
async fn a_closed_store_refuses_every_call_on_sqlite() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let store = open_sqlite(&format!("sqlite:{}", folder.path().join("log.db").display())).await;
    let store = store.unwrap();
    let queued = store.append(append());
    store.close().await;
    queued.await.unwrap();
    refuses_everything(&store).await;
}

#[tokio::test]
async fn a_closed_store_refuses_every_call_on_postgres() {
    let Some(server) = Server::of("a_closed_store_refuses_every_call_on_postgres").await else {
        return;
    };
    let store = server.open().await.unwrap();
    let queued = store.append(append());
    store.close().await;
    queued.await.unwrap();
    refuses_everything(&store).await;
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The task that appends has ended with its runtime, so queued appends may not wait for ever. Later ones start it
/// again.
#[test]
fn a_store_is_used_in_a_second_runtime_after_the_first_has_ended_on_sqlite() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    let first = runtime();
    let store = first.block_on(open_sqlite(&url)).unwrap();
    goes_on_in_a_second_runtime(first, &store);
    runtime().block_on(async {
        store.close().await;
        refuses_everything(&store).await;
        open_sqlite(&url).await.unwrap().append(append()).await.unwrap();
    });
}

#[test]
fn a_store_is_used_in_a_second_runtime_after_the_first_has_ended_on_postgres() {
    let test = "a_store_is_used_in_a_second_runtime_after_the_first_has_ended_on_postgres";
    let first = runtime();
    let Some(server) = first.block_on(Server::of(test)) else { return };
    let store = first.block_on(server.open()).unwrap();
    goes_on_in_a_second_runtime(first, &store);
    runtime().block_on(async {
        // The task that listens has ended with the second runtime, too, and begins again.
        until_it_listens(&server, false).await;
        store.wait_for_append(store.head().await.unwrap()).await.unwrap();
        until_it_listens(&server, true).await;
        store.close().await;
        refuses_everything(&store).await;
    });
}

/// Shuts the first runtime down while appends are queued, and uses everything in a second one.
fn goes_on_in_a_second_runtime(first: Runtime, store: &dyn Store) {
    let bound = Duration::from_secs(60);
    first.block_on(async {
        // The task that listens has been started here.
        let waiting = store.wait_for_append(Position::new(1));
        let _ = tokio::time::timeout(Duration::from_millis(200), waiting).await;
        commit(store, "before").await;
    });
    let queued: Vec<_> =
        first.block_on(async { (0..500).map(|_| store.append(append())).collect() });
    drop(first);
    runtime().block_on(async {
        // The first call meets the connections of the runtime that has ended.
        let after = commit(store, "after").await;
        for append in queued {
            let outcome = tokio::time::timeout(bound, append).await.unwrap();
            assert!(outcome.is_ok() || outcome.is_err_and(|error| error.is_unknown_outcome()));
        }
        let late = tokio::time::timeout(bound, store.append(append())).await.unwrap().unwrap();
        assert_eq!(store.head().await.unwrap(), late.position);
        store.commit_view(after).await.unwrap();
        store.wait_for_append(late.position).await.unwrap();
    });
}
