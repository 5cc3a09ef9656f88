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

use super::{append, error_messages, open_sqlite, server::Server};

async fn refuses_everything(store: &dyn Store) {
    let (view, stream) = (ViewName::new("balances").unwrap(), build::stream("a"));
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

/// The appending task is gone, so neither queued appends nor later ones may wait for ever.
#[test]
fn appends_end_when_the_runtime_of_the_store_has_shut_down() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let first = runtime();
    let store = first.block_on(open_sqlite(&url)).unwrap();
    let queued: Vec<_> = (0..500).map(|_| store.append(append())).collect();
    drop(first);
    let second = runtime();
    second.block_on(async {
        for append in queued {
            let outcome = tokio::time::timeout(Duration::from_secs(20), append).await.unwrap();
            assert!(outcome.is_ok() || outcome.is_err_and(|error| error.is_unknown_outcome()));
        }
        let late = tokio::time::timeout(Duration::from_secs(20), store.append(append())).await;
        refused(late.unwrap());
        let again = open_sqlite(&url).await.unwrap();
        again.append(append()).await.unwrap();
    });
}
