//! R1: the sharding of a view may change, and no event is lost or applied twice by that.

use std::sync::Arc;

use bytes::Bytes;
use highwater_core::{
    Position,
    domain::ViewName,
    error::Conflict,
    port::{Claim, ClaimMode, Progress, ShardClaim, ViewCommit, WorkerId},
    value::{ShardId, Sharding},
};

use super::worker::{
    LONG_LEASE, Worker, found, is_missing, name, opened, park, progress, some, state,
};
use crate::testing::{Fixture, Store, race::race};

/// Claims every shard, all of which are at this position.
async fn all(store: &Arc<dyn Store>, view: &ViewName, position: u64) -> Vec<Worker> {
    let sharding = store.read_view(view, &[]).await.unwrap().state.sharding;
    let mut workers = Vec::new();
    for shard in sharding.all() {
        let mut worker = Worker::taking(store, view, shard, "divider").await;
        if worker.claim.progress.position.get() < position {
            let to = Progress { cursor: Bytes::from_static(b"there"), ..progress(position) };
            worker.send(ViewCommit { to, ..worker.to(position, &[]) }).await.unwrap();
        }
        workers.push(worker);
    }
    workers
}

fn claims(workers: &[Worker]) -> Vec<Claim> {
    workers.iter().map(|worker| worker.claim.clone()).collect()
}

pub(super) async fn r1_a_view_divided_anew_goes_on_from_where_it_was(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "divided", Sharding::SINGLE).await;
    let mut position = 0;
    for sharding in
        [Sharding::by_key(4), Sharding::by_key(2), Sharding::by_stream(3), Sharding::SINGLE]
    {
        position += 5;
        let before = all(&store, &view, position).await;
        store.reshard(&view, &claims(&before), sharding).await.unwrap();
        let shards = vec![position; sharding.shards as usize];
        assert_eq!(store.read_view(&view, &[]).await.unwrap().state, state(sharding, &shards));
        let roll = store.heartbeat(&view, &before[0].id, LONG_LEASE).await.unwrap();
        assert_eq!(roll.holders, vec![None; shards.len()], "every shard is free");
        let after = all(&store, &view, position).await;
        let newest = before.iter().map(|worker| worker.claim.epoch).max().unwrap();
        for worker in after {
            assert!(worker.claim.epoch > newest);
            assert_eq!(worker.claim.progress, progress(position), "without a cursor");
        }
    }
}

pub(super) async fn r1_rows_and_parked_keys_stay_when_a_view_is_divided_anew(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "stays").await;
    let parked = vec![park("b", 2, "broken", 1)];
    worker.send(ViewCommit { parked, ..worker.to(3, &[("a", Some("1"))]) }).await.unwrap();
    store.reshard(&worker.view, &[worker.claim.clone()], Sharding::by_key(2)).await.unwrap();
    assert_eq!(found(&*store, &worker.view, &["a"]).await, (vec![3, 3], vec![some("1")]));
    let parked = store.parked_keys(&worker.view, None, 9).await.unwrap();
    assert_eq!((parked.len(), parked[0].queued), (1, 1));
}

pub(super) async fn r1_shards_at_different_positions_are_not_divided_anew(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "unequal", Sharding::by_key(2)).await;
    let mut workers = all(&store, &view, 5).await;
    workers[1].write(6, &[]).await;
    let error = store.reshard(&view, &claims(&workers), Sharding::SINGLE).await.unwrap_err();
    let expected = Position::new(5);
    let actual = Position::new(6);
    let conflict = Conflict::Checkpoint { view: view.to_string(), expected, actual };
    assert_eq!(error.conflict(), Some(&conflict));
    unchanged(&store, &view, &mut workers, [5, 6]).await;
}

/// Checks that nothing has changed, and that every claim is still valid.
async fn unchanged(
    store: &Arc<dyn Store>,
    view: &ViewName,
    workers: &mut [Worker],
    positions: [u64; 2],
) {
    let found = store.read_view(view, &[]).await.unwrap().state;
    assert_eq!(found, state(Sharding::by_key(2), &positions));
    for worker in workers {
        worker.write(9, &[]).await;
    }
}

pub(super) async fn r1_a_view_is_divided_under_the_claims_of_all_its_shards_alone(
    fixture: Fixture,
) {
    let store = fixture.store();
    let view = opened(&*store, "claims", Sharding::by_key(2)).await;
    let before = all(&store, &view, 5).await;
    let mut workers = all(&store, &view, 5).await;
    let [one, other] = [&workers[0].claim, &workers[1].claim];
    let stranger = Claim { shard: ShardId::new(2), ..one.clone() };
    for claims in [
        claims(&before),
        vec![one.clone(), before[1].claim.clone()],
        vec![one.clone()],
        Vec::new(),
        vec![one.clone(), other.clone(), stranger],
    ] {
        let error = store.reshard(&view, &claims, Sharding::SINGLE).await.unwrap_err();
        assert!(matches!(error.conflict(), Some(Conflict::Fenced { .. })), "{error}");
    }
    assert!(is_missing(store.reshard(&name("never"), &[], Sharding::SINGLE).await));
    unchanged(&store, &view, &mut workers, [5, 5]).await;
}

pub(super) async fn r1_workers_of_the_old_sharding_are_fenced(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "zombies", Sharding::by_key(4)).await;
    let mut zombies = all(&store, &view, 5).await;
    for sharding in [Sharding::by_key(2), Sharding::by_key(4)] {
        let dividers = all(&store, &view, 5).await;
        store.reshard(&view, &claims(&dividers), sharding).await.unwrap();
        zombies.extend(dividers);
        for zombie in &mut zombies {
            let error = zombie.send(zombie.to(6, &[("a", Some("zombie"))])).await.unwrap_err();
            assert!(matches!(error.conflict(), Some(Conflict::Fenced { .. })), "{error}");
            store.release_shard(&view, zombie.claim.shard, zombie.claim.epoch).await.unwrap();
        }
    }
    assert_eq!(found(&*store, &view, &["a"]).await, (vec![5; 4], vec![None]));
}

pub(super) async fn r1_a_worker_that_knows_the_old_sharding_claims_nothing(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "late", Sharding::by_key(3)).await;
    let old = Sharding::by_key(3);
    let late = WorkerId::new("late").unwrap();
    for (sharding, at) in
        [(Sharding::by_key(5), 5), (Sharding::by_key(2), 6), (Sharding::by_stream(3), 7)]
    {
        let dividers = all(&store, &view, at).await;
        store.reshard(&view, &claims(&dividers), sharding).await.unwrap();
        let mut worker = Worker::taking(&store, &view, ShardId::FIRST, "new").await;
        for (shard, claiming) in
            old.all().flat_map(|shard| [(shard, ClaimMode::IfFree), (shard, ClaimMode::Always)])
        {
            let claim = store
                .claim_shard(ShardClaim {
                    view: view.clone(),
                    sharding: old,
                    shard,
                    worker: late.clone(),
                    mode: claiming,
                    lease: LONG_LEASE,
                    definition: None,
                })
                .await;
            let view = view.to_string();
            let expected = old;
            let conflict = Conflict::Sharding { view, expected, actual: sharding };
            assert_eq!(claim.unwrap_err().conflict(), Some(&conflict));
        }
        let mut holders = vec![None; sharding.shards as usize];
        let roll = store.heartbeat(&view, &worker.id, LONG_LEASE).await.unwrap();
        holders[0] = Some(worker.id.clone());
        assert_eq!(roll.holders, holders, "what was free still is");
        worker.write(at + 1, &[]).await;
    }
}

/// A claim fences a reshard, and a reshard refuses a claim: they never both succeed.
pub(super) async fn r1_a_claim_and_a_division_that_race_do_not_both_go_through(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    for round in 0..10 {
        let view = opened(&*handles[0], &format!("round_{round}"), Sharding::by_key(2)).await;
        let held = claims(&all(&handles[0], &view, 5).await);
        let outcomes = race((0..5_usize).map(|n| {
            let store = handles[n % 2].clone();
            let view = view.clone();
            let held = held.clone();
            async move {
                if n == 2 {
                    return store.reshard(&view, &held, Sharding::by_key(3)).await;
                }
                let sharding = Sharding::by_key(2);
                let shard = ShardId::new(n as u32 % 2);
                let worker = WorkerId::new(n.to_string()).unwrap();
                let claim = store.claim_shard(ShardClaim {
                    view: view.clone(),
                    sharding,
                    shard,
                    worker: worker.clone(),
                    mode: ClaimMode::Always,
                    lease: LONG_LEASE,
                    definition: None,
                });
                claim.await.map(|claim| assert!(claim.is_some()))
            }
        }))
        .await;
        let is_divided = outcomes[2].is_ok();
        let sharding = handles[1].read_view(&view, &[]).await.unwrap().state.sharding;
        assert_eq!(sharding, Sharding::by_key(if is_divided { 3 } else { 2 }));
        for (n, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.is_ok(), (n == 2) == is_divided, "{outcomes:?}");
            assert!(outcome.as_ref().err().is_none_or(highwater_core::Error::is_conflict));
        }
    }
}

pub(super) async fn r1_of_eight_who_divide_at_once_one_does(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let view = opened(&*handles[0], "raced", Sharding::by_key(2)).await;
    let claims = claims(&all(&handles[0], &view, 5).await);
    let outcomes = race((0..8).map(|n: usize| {
        let store = handles[n % 2].clone();
        let view = view.clone();
        let claims = claims.clone();
        async move { store.reshard(&view, &claims, Sharding::by_key(3 + n as u32)).await }
    }))
    .await;
    let divided: Vec<_> = (3..11).zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).collect();
    assert_eq!(divided.len(), 1, "{outcomes:?}");
    assert!(
        outcomes.iter().filter_map(|o| o.as_ref().err()).all(highwater_core::Error::is_conflict)
    );
    let sharding = Sharding::by_key(divided[0].0);
    let found = handles[1].read_view(&view, &[]).await.unwrap().state;
    assert_eq!(found, state(sharding, &vec![5; sharding.shards as usize]));
}
