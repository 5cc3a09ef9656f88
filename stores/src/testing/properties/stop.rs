//! R2: readers see that the work on a shard has stopped, until it goes on.

use highwater_core::{
    domain::ViewName,
    port::{Claim, ClaimMode, KeyRange, ShardClaim, ShardStop, ViewState},
    value::{ShardId, Sharding},
};
use jiff::Timestamp;
use std::ops::Bound;

use super::worker::{LONG_LEASE, Worker, name, opened, progress, shard};
use crate::testing::{Fixture, Store, race::soon};

fn stop(number: u32, error: &str) -> ShardStop {
    let at = Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
    ShardStop { shard: shard(number), at, error: error.to_owned() }
}

/// Reads the state of a view in every way.
async fn states(store: &dyn Store, view: &ViewName) -> Vec<ViewState> {
    let mut states = Vec::new();
    for keys in [&[][..], &["a"], &["a", "b"]] {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        states.push(store.read_view(view, &keys).await.unwrap().state);
    }
    let all = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
    states.push(store.read_range(view, &all, 9).await.unwrap().state);
    states
}

async fn assert_stops(store: &dyn Store, view: &ViewName, stops: &[ShardStop]) {
    for state in states(store, view).await {
        assert_eq!(state.stops, stops);
    }
}

pub(super) async fn r2_a_stop_is_seen_until_the_next_commit_to_its_shard(fixture: Fixture) {
    let (store, reader) = (fixture.store(), fixture.reopen().await);
    let view = opened(&*store, "stops", Sharding::by_key(12)).await;
    let mut workers = Vec::new();
    for number in [2, 11, 5] {
        let mut worker = Worker::taking(&store, &view, shard(number), "stops").await;
        worker.write(4, &[]).await;
        workers.push(worker);
    }
    assert_stops(&*reader, &view, &[]).await;
    let errors = ["HW506: \"quoted\"", "HW503: ü, '; drop table", "HW701"];
    let [two, eleven, five] = [stop(2, errors[0]), stop(11, errors[1]), stop(5, errors[2])];
    for (worker, stop) in workers.iter().zip([&two, &eleven, &five]) {
        store.stop_shard(&view, worker.claim.epoch, stop.clone()).await.unwrap();
    }
    assert_stops(&*reader, &view, &[two.clone(), five.clone(), eleven.clone()]).await;
    for state in states(&*reader, &view).await {
        assert_eq!(state.shards[5], progress(4), "the progress stays");
    }
    // The worker is gone, and the shard has another one, which has not applied anything yet.
    store.leave(&view, &workers[0].id).await.unwrap();
    let mut next = Worker::taking(&store, &view, shard(5), "next").await;
    assert_stops(&*reader, &view, &[two.clone(), five, eleven.clone()]).await;
    next.write(5, &[]).await;
    assert_stops(&*reader, &view, &[two, eleven]).await;
}

pub(super) async fn r2_a_stop_under_another_epoch_changes_nothing(fixture: Fixture) {
    let store = fixture.store();
    let before = Worker::on(&store, "zombie").await;
    let next = Worker::taking(&store, &before.view, ShardId::FIRST, "next").await;
    let view = &before.view;
    store.stop_shard(view, before.claim.epoch, stop(0, "late")).await.unwrap();
    store.stop_shard(view, next.claim.epoch, stop(7, "no such shard")).await.unwrap();
    store.stop_shard(&name("never"), next.claim.epoch, stop(0, "no such view")).await.unwrap();
    assert_stops(&*store, view, &[]).await;
    // A text that a database can't hold is recorded as far as it can.
    store.stop_shard(view, next.claim.epoch, stop(0, "a\0b")).await.unwrap();
    let state = store.read_view(view, &[]).await.unwrap().state;
    assert!(state.stops[0].error.starts_with('a'), "{state:?}");
}

pub(super) async fn r2_a_view_that_is_resharded_has_not_stopped(fixture: Fixture) {
    let store = fixture.store();
    let worker = Worker::on(&store, "resharded").await;
    let view = worker.view.clone();
    store.stop_shard(&view, worker.claim.epoch, stop(0, "HW506")).await.unwrap();
    let claim = ShardClaim {
        view: view.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker.id.clone(),
        mode: ClaimMode::Always,
        lease: LONG_LEASE,
        definition: None,
    };
    let claim: Claim = store.claim_shard(claim).await.unwrap().unwrap();
    store.reshard(&view, &[claim], Sharding::by_key(2)).await.unwrap();
    assert_stops(&*store, &view, &[]).await;
}

pub(super) async fn r2_a_waiter_is_woken_by_a_stop(fixture: Fixture) {
    let (store, reader) = (fixture.store(), fixture.reopen().await);
    let worker = Worker::on(&store, "woken").await;
    let seen = reader.read_view(&worker.view, &[]).await.unwrap().state;
    let stopping = {
        let worker = worker.clone();
        tokio::spawn(async move {
            let stop = stop(0, "HW506");
            worker.store.stop_shard(&worker.view, worker.claim.epoch, stop).await.unwrap();
        })
    };
    soon("noticing the stop", async {
        while reader.read_view(&worker.view, &[]).await.unwrap().state.stops.is_empty() {
            reader.wait_for_view_change(&worker.view, &seen).await.unwrap();
        }
    })
    .await;
    stopping.await.unwrap();
}
