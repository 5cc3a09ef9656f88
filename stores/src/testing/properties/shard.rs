//! R1: of all workers of a shard only the holder of the claim can commit, even if others believe
//! they hold it.

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Error, Position,
    domain::ViewName,
    error::Conflict,
    port::{Claim, ClaimMode, Members, ShardClaim, ViewCommit, WorkerId},
    value::{Epoch, ShardId, Sharding},
};

use super::worker::{LONG_LEASE, Worker, found, name, opened, park, progress, shard, some, state};
use crate::testing::{
    Fixture, Store,
    race::{race, soon},
};

/// A lease that has expired by the time of the next call.
const SHORT_LEASE: Duration = Duration::from_millis(1);

fn id(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

#[track_caller]
fn assert_fenced(error: &Error, worker: &Worker, actual: Epoch) {
    let view = worker.view.to_string();
    let shard = worker.claim.shard;
    let epoch = worker.claim.epoch;
    assert_eq!(error.conflict(), Some(&Conflict::Fenced { view, shard, epoch, actual }));
}

async fn claim_if_free(store: &dyn Store, view: &ViewName, worker: &str) -> Option<Claim> {
    let worker = id(worker);
    let claim = store.claim_shard(ShardClaim {
        view: view.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker.clone(),
        mode: ClaimMode::IfFree,
        lease: LONG_LEASE,
        definition: None,
    });
    claim.await.unwrap()
}

pub(super) async fn r1_of_16_tasks_that_claim_a_free_shard_one_gets_it(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let view = opened(&*handles[0], "free", Sharding::SINGLE).await;
    let claims = race((0..16).map(|n| {
        let store = handles[n % 2].clone();
        let view = view.clone();
        async move { claim_if_free(&*store, &view, &n.to_string()).await }
    }))
    .await;
    let got: Vec<_> = (0..16).zip(&claims).filter(|(_, claim)| claim.is_some()).collect();
    assert_eq!(got.len(), 1, "{got:?}");
    let roll = handles[1].heartbeat(&view, &id("another"), LONG_LEASE).await.unwrap();
    assert_eq!(roll.holders, [Some(id(&got[0].0.to_string()))]);
}

pub(super) async fn r1_16_claims_by_force_have_16_epochs_and_the_last_commits(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let view = opened(&*handles[0], "forced", Sharding::SINGLE).await;
    let mut workers = race((0..16).map(|n: usize| {
        let store = handles[n % 2].clone();
        let view = view.clone();
        async move { Worker::taking(&store, &view, ShardId::FIRST, &n.to_string()).await }
    }))
    .await;
    workers.sort_by_key(|worker| worker.claim.epoch);
    let mut last = workers.pop().unwrap();
    for mut fenced in workers {
        assert!(fenced.claim.epoch < last.claim.epoch);
        let error = fenced.send(fenced.to(1, &[("a", Some("zombie"))])).await.unwrap_err();
        assert_fenced(&error, &fenced, last.claim.epoch);
    }
    last.write(1, &[("a", Some("last"))]).await;
    assert_eq!(found(&*handles[0], &view, &["a"]).await, (vec![1], vec![some("last")]));
}

pub(super) async fn r1_a_fenced_worker_changes_nothing_from_any_position(fixture: Fixture) {
    let store = fixture.store();
    let mut zombie = Worker::on(&store, "zombie").await;
    zombie.write(5, &[("a", Some("1"))]).await;
    let mut next = Worker::taking(&store, &zombie.view, ShardId::FIRST, "next").await;
    assert_eq!(
        (next.claim.progress.clone(), next.claim.epoch > zombie.claim.epoch),
        (progress(5), true)
    );
    for from in [0, 5, 6].map(Position::new) {
        let parked = vec![park("b", 6, "broken", 1)];
        let commit = zombie.to(9, &[("a", Some("2")), ("b", Some("2"))]);
        let error = zombie.send(ViewCommit { from, parked, ..commit }).await.unwrap_err();
        assert_fenced(&error, &zombie, next.claim.epoch);
    }
    let (at, rows) = found(&*store, &next.view, &["a", "b"]).await;
    assert_eq!((at, rows), (vec![5], vec![some("1"), None]));
    assert_eq!(store.parked_keys(&next.view, None, 9).await.unwrap(), []);
    next.write(6, &[]).await;
}

pub(super) async fn r1_claiming_ones_own_shard_again_fences_the_claim_before(fixture: Fixture) {
    let store = fixture.store();
    let mut before = Worker::on(&store, "again").await;
    let claim = claim_if_free(&*store, &before.view, "first").await.unwrap();
    assert!(claim.epoch > before.claim.epoch);
    let error = before.send(before.to(1, &[])).await.unwrap_err();
    assert_fenced(&error, &before, claim.epoch);
    before.claim = claim;
    before.write(1, &[]).await;
}

pub(super) async fn r1_a_live_lease_is_respected(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let mut worker = Worker::on(&handles[0], "live").await;
    for store in &handles {
        assert_eq!(claim_if_free(&**store, &worker.view, "other").await, None);
    }
    worker.write(1, &[]).await;
}

/// Claims the shard once its lease has expired.
async fn claim_after_expiry(store: &dyn Store, view: &ViewName, worker: &str) -> Claim {
    soon("the end of a lease", async {
        loop {
            match claim_if_free(store, view, worker).await {
                Some(claim) => break claim,
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

pub(super) async fn r1_a_lease_that_has_run_out_gives_the_shard_free(fixture: Fixture) {
    let store = fixture.store();
    let mut late = Worker::on(&store, "late").await;
    let claim = store.claim_shard(ShardClaim {
        view: late.view.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: late.id.clone(),
        mode: ClaimMode::IfFree,
        lease: SHORT_LEASE,
        definition: None,
    });
    late.claim = claim.await.unwrap().unwrap();
    let claim = claim_after_expiry(&*store, &late.view, "other").await;
    let error = late.send(late.to(1, &[])).await.unwrap_err();
    assert_fenced(&error, &late, claim.epoch);
}

pub(super) async fn r1_a_lease_that_has_run_out_does_not_keep_its_holder_from_committing(
    fixture: Fixture,
) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "late").await;
    let claim = store.claim_shard(ShardClaim {
        view: worker.view.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker.id.clone(),
        mode: ClaimMode::IfFree,
        lease: SHORT_LEASE,
        definition: None,
    });
    worker.claim = claim.await.unwrap().unwrap();
    soon("the end of the lease", async {
        while store.heartbeat(&worker.view, &id("other"), LONG_LEASE).await.unwrap().holders
            != [None]
        {}
    })
    .await;
    worker.write(1, &[]).await;
}

pub(super) async fn r1_a_lease_without_end_is_held(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "endless", Sharding::SINGLE).await;
    let worker = id("first");
    let claim = store.claim_shard(ShardClaim {
        view: view.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker.clone(),
        mode: ClaimMode::IfFree,
        lease: Duration::MAX,
        definition: None,
    });
    assert!(claim.await.unwrap().is_some());
    assert_eq!(claim_if_free(&*store, &view, "other").await, None);
    let roll = store.heartbeat(&view, &worker, Duration::MAX).await.unwrap();
    assert_eq!(roll, Members { workers: vec![worker.clone()], holders: vec![Some(worker)] });
}

pub(super) async fn r1_a_sign_of_life_keeps_what_a_worker_holds(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "kept", Sharding::by_key(2)).await;
    let first = id("first");
    for number in 0..2 {
        let claim = store.claim_shard(ShardClaim {
            view: view.clone(),
            sharding: Sharding::by_key(2),
            shard: shard(number),
            worker: first.clone(),
            mode: ClaimMode::IfFree,
            lease: SHORT_LEASE,
            definition: None,
        });
        assert!(claim.await.unwrap().is_some());
    }
    let roll = store.heartbeat(&view, &first, LONG_LEASE).await.unwrap();
    assert_eq!(roll.holders, [Some(first.clone()), Some(first.clone())]);
    let other = id("other");
    for number in 0..2 {
        let claim = store.claim_shard(ShardClaim {
            view: view.clone(),
            sharding: Sharding::by_key(2),
            shard: shard(number),
            worker: other.clone(),
            mode: ClaimMode::IfFree,
            lease: LONG_LEASE,
            definition: None,
        });
        assert_eq!(claim.await.unwrap(), None);
    }
}

pub(super) async fn r1_a_released_shard_is_free_and_its_holder_fenced(fixture: Fixture) {
    let store = fixture.store();
    let mut gone = Worker::on(&store, "released").await;
    gone.write(1, &[]).await;
    store.release_shard(&gone.view, ShardId::FIRST, gone.claim.epoch).await.unwrap();
    let error = gone.send(gone.to(2, &[("a", Some("2"))])).await.unwrap_err();
    assert!(matches!(error.conflict(), Some(Conflict::Fenced { .. })), "{error}");
    let claim = claim_if_free(&*store, &gone.view, "other").await.unwrap();
    assert_eq!(claim.progress, progress(1));
    let error = gone.send(gone.to(2, &[("a", Some("2"))])).await.unwrap_err();
    assert_fenced(&error, &gone, claim.epoch);
    assert_eq!(found(&*store, &gone.view, &["a"]).await, (vec![1], vec![None]));
}

pub(super) async fn r1_a_release_under_another_epoch_changes_nothing(fixture: Fixture) {
    let store = fixture.store();
    let before = Worker::on(&store, "held").await;
    let mut next = Worker::taking(&store, &before.view, ShardId::FIRST, "next").await;
    store.release_shard(&before.view, ShardId::FIRST, before.claim.epoch).await.unwrap();
    store.release_shard(&before.view, shard(7), next.claim.epoch).await.unwrap();
    store.release_shard(&name("never"), ShardId::FIRST, next.claim.epoch).await.unwrap();
    assert_eq!(claim_if_free(&*store, &before.view, "other").await, None);
    next.write(1, &[]).await;
}

pub(super) async fn r1_the_roll_tells_who_is_alive_and_who_holds_what(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let view = opened(&*handles[0], "roll", Sharding::by_key(4)).await;
    let other = opened(&*handles[0], "other", Sharding::SINGLE).await;
    handles[0].heartbeat(&other, &id("elsewhere"), LONG_LEASE).await.unwrap();
    for (number, worker) in [(0, "b"), (2, "a'"), (3, "ü")] {
        Worker::taking(&handles[0], &view, shard(number), worker).await;
    }
    let mut alive = Vec::new();
    let holders = [Some("b"), None, Some("a'"), Some("ü")];
    let holders = holders.map(|holder| holder.map(id));
    for (n, worker) in ["b", "ü", "a'", "c"].into_iter().enumerate() {
        alive.push(id(worker));
        alive.sort();
        let roll = handles[n % 2].heartbeat(&view, &id(worker), LONG_LEASE).await.unwrap();
        assert_eq!(roll, Members { workers: alive.clone(), holders: holders.to_vec() });
    }
}

pub(super) async fn r1_a_worker_without_a_sign_of_life_is_off_the_roll(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "silent", Sharding::SINGLE).await;
    let silent = id("silent");
    let claim = store.claim_shard(ShardClaim {
        view: view.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: silent.clone(),
        mode: ClaimMode::IfFree,
        lease: SHORT_LEASE,
        definition: None,
    });
    assert!(claim.await.unwrap().is_some());
    store.heartbeat(&view, &silent, SHORT_LEASE).await.unwrap();
    let alone = Members { workers: vec![id("other")], holders: vec![None] };
    soon("the end of a silent worker", async {
        while store.heartbeat(&view, &id("other"), LONG_LEASE).await.unwrap() != alone {}
    })
    .await;
    // The worker was only slow: shards that no other worker has claimed are its own again.
    let roll = store.heartbeat(&view, &silent, LONG_LEASE).await.unwrap();
    assert_eq!(
        roll,
        Members { workers: vec![id("other"), silent.clone()], holders: vec![Some(silent)] }
    );
}

pub(super) async fn r1_signing_out_gives_back_what_a_worker_holds_and_nothing_else(
    fixture: Fixture,
) {
    let store = fixture.store();
    let view = opened(&*store, "out", Sharding::by_key(3)).await;
    let mut gone = Worker::taking(&store, &view, shard(0), "gone").await;
    Worker::taking(&store, &view, shard(1), "gone").await;
    let mut stays = Worker::taking(&store, &view, shard(2), "stays").await;
    for worker in [&gone, &stays] {
        store.heartbeat(&view, &worker.id, LONG_LEASE).await.unwrap();
    }
    store.leave(&view, &gone.id).await.unwrap();
    store.leave(&name("never"), &gone.id).await.unwrap();
    let roll = store.heartbeat(&view, &stays.id, LONG_LEASE).await.unwrap();
    let stayed = stays.id.clone();
    assert_eq!(
        roll,
        Members { workers: vec![stayed.clone()], holders: vec![None, None, Some(stayed)] }
    );
    let error = gone.send(gone.to(1, &[])).await.unwrap_err();
    assert!(matches!(error.conflict(), Some(Conflict::Fenced { .. })), "{error}");
    stays.write(1, &[]).await;
}

pub(super) async fn r1_a_shard_that_is_not_there_cannot_be_claimed(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "few", Sharding::by_key(2)).await;
    let first = id("first");
    for claiming in [ClaimMode::IfFree, ClaimMode::Always] {
        let claim = store.claim_shard(ShardClaim {
            view: view.clone(),
            sharding: Sharding::by_key(2),
            shard: shard(2),
            worker: first.clone(),
            mode: claiming,
            lease: LONG_LEASE,
            definition: None,
        });
        assert!(claim.await.unwrap_err().is_invalid());
    }
    assert_eq!(
        store.read_view(&view, &[]).await.unwrap().state,
        state(Sharding::by_key(2), &[0, 0])
    );
}

/// Runs workers that take the only shard from one another, each continuing the count in the row. If
/// two could commit under one claim, the count would not equal the number of commits.
pub(super) async fn r1_workers_that_rob_one_another_count_each_commit_once(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let view = opened(&*handles[0], "robbed", Sharding::SINGLE).await;
    let counts = race((0..4).map(|n: usize| {
        let store = handles[n % 2].clone();
        let view = view.clone();
        async move { take_over_and_count(store, view, n).await }
    }))
    .await;
    let total: u64 = counts.iter().sum();
    let (at, rows) = found(&*handles[0], &view, &["count"]).await;
    assert_eq!((at, rows), (vec![total], vec![Some(total.to_string())]));
    assert!(total > 0);
}

/// Returns the number of successful commits.
async fn take_over_and_count(store: Arc<dyn Store>, view: ViewName, n: usize) -> u64 {
    let mut commits = 0;
    for _ in 0..20 {
        let mut worker = Worker::taking(&store, &view, ShardId::FIRST, &n.to_string()).await;
        for _ in 0..3 {
            let (_, rows) = found(&*store, &view, &["count"]).await;
            let count: u64 = rows[0].as_deref().map_or(0, |count| count.parse().unwrap());
            let next = (count + 1).to_string();
            // A row that is read after the claim was lost may be ahead of the claim.
            let commit =
                worker.to(worker.claim.progress.position.get() + 1, &[("count", Some(&next))]);
            match worker.send(commit).await {
                Ok(()) => commits += 1,
                Err(error) => {
                    assert!(matches!(error.conflict(), Some(Conflict::Fenced { .. })), "{error}");
                    break;
                }
            }
        }
    }
    commits
}
