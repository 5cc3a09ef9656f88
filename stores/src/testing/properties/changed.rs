//! R3, R4: a caller that waits for a view is woken when it advances or when a request for it
//! arrives.

use futures_util::FutureExt as _;
use highwater_core::{
    port::ViewState,
    value::{ShardId, Sharding},
};

use super::worker::{Worker, opened, park, state};
use crate::testing::{Fixture, race::soon};

pub(super) async fn r3_a_waiter_is_woken_by_a_commit_through_another_handle(fixture: Fixture) {
    let store = fixture.store();
    let writer = fixture.reopen().await;
    let mut worker = Worker::on(&writer, "woken").await;
    let view = worker.view.clone();
    for to in 1..=20 {
        let seen = store.read_view(&view, &[]).await.unwrap().state;
        let mut waiting = store.wait_for_view_change(&view, &seen);
        // The wait has been polled once. The port allows it to end early.
        let early = (&mut waiting).now_or_never();
        worker.write(to, &[]).await;
        if early.is_none() {
            soon("waking the waiter", waiting).await.unwrap();
        }
        let found = store.read_view(&view, &[]).await.unwrap().state;
        assert_eq!(found, state(Sharding::SINGLE, &[to]));
    }
}

pub(super) async fn r3_what_has_changed_since_it_was_seen_is_not_waited_for(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "past", Sharding::by_key(2)).await;
    let mut worker = Worker::taking(&store, &view, ShardId::new(1), "first").await;
    let mut seen: Vec<ViewState> = vec![store.read_view(&view, &[]).await.unwrap().state];
    for to in 1..=3 {
        worker.write(to, &[]).await;
        for seen in &seen {
            soon("an earlier change", store.wait_for_view_change(&view, seen)).await.unwrap();
        }
        seen.push(store.read_view(&view, &[]).await.unwrap().state);
    }
}

pub(super) async fn r3_waiting_ends_also_where_nothing_changes(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "still", Sharding::SINGLE).await;
    let seen = store.read_view(&view, &[]).await.unwrap().state;
    for _ in 0..2 {
        soon("a poll by the waiter", store.wait_for_view_change(&view, &seen)).await.unwrap();
    }
}

pub(super) async fn r4_a_waiter_is_woken_by_a_wish_for_another_try(fixture: Fixture) {
    let store = fixture.store();
    let operator = fixture.reopen().await;
    let mut worker = Worker::on(&store, "asked").await;
    worker.park(1, vec![park("a", 1, "broken", 1)]).await;
    let seen = store.read_view(&worker.view, &[]).await.unwrap().state;
    let request = {
        let view = worker.view.clone();
        tokio::spawn(async move { operator.retry_parked(&view, "a").await.unwrap() })
    };
    soon("noticing the retry request", async {
        while !store.parked_keys(&worker.view, None, 1).await.unwrap()[0].retry {
            store.wait_for_view_change(&worker.view, &seen).await.unwrap();
        }
    })
    .await;
    assert!(request.await.unwrap());
}

/// Runs two tasks, each of which advances its own shard when the other shard has advanced.
pub(super) async fn r3_no_wake_up_is_missed(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let view = opened(&*handles[0], "pingpong", Sharding::by_key(2)).await;
    let mut workers = Vec::new();
    for (store, number) in handles.iter().zip(0..2_u32) {
        let shard = ShardId::new(number);
        workers.push(Worker::taking(store, &view, shard, &number.to_string()).await);
    }
    let running = workers.into_iter().map(|worker| tokio::spawn(take_turns(worker)));
    for outcome in futures_util::future::join_all(running).await {
        outcome.unwrap();
    }
}

const ROUNDS: u64 = 50;

/// Advances one shard in turns with the other. The first shard leads.
async fn take_turns(mut worker: Worker) {
    let number = worker.claim.shard.get() as usize;
    for round in 1..=ROUNDS {
        let wanted = round - 1 + number as u64;
        soon("the other shard's advance", async {
            loop {
                let seen = worker.store.read_view(&worker.view, &[]).await.unwrap().state;
                if seen.shards[1 - number].position.get() >= wanted {
                    break;
                }
                worker.store.wait_for_view_change(&worker.view, &seen).await.unwrap();
            }
        })
        .await;
        worker.write(round, &[]).await;
    }
}
