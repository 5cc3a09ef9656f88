//! R1 with several shards, and with workers that start, stop and are killed.

use std::time::Duration;

use highwater::{
    Highwater, Worker,
    direct::DirectSource,
    worker::{ProjectionOptions, WorkerHandle},
};
use highwater_test_support::{
    bank::banks,
    ledger::{ByAccount, ByCustomer, ByPartner, compare_all, step},
};

async fn work(bank: &Highwater, shards: u32) -> WorkerHandle {
    let options = ProjectionOptions::default().shards(shards).batch(13);
    Worker::new(bank)
        .fed_by(DirectSource::new(bank).lease(Duration::from_millis(250)))
        .view_with::<ByAccount>(options)
        .view_with::<ByCustomer>(options)
        .view_with::<ByPartner>(options)
        .start()
        .await
        .unwrap()
}

pub(crate) fn seed() -> u64 {
    let seed = std::env::var("HIGHWATER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("HIGHWATER_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_views_are_the_fold_of_the_log_with_any_number_of_shards() {
    for store in banks() {
        let bank = store.open().await;
        let mut random = fastrand::Rng::with_seed(seed());
        let worker = work(&bank, 4).await;
        for _ in 0..300 {
            step(&bank, &mut random).await;
        }
        compare_all(&bank).await;
        worker.stop().await.unwrap();
    }
}

/// Stops workers in order, or drops them with a commit under way. Other workers take over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_views_are_the_fold_of_the_log_while_workers_join_leave_and_disappear() {
    for store in banks() {
        let handles = [store.open().await, store.open().await, store.open().await];
        let mut random = fastrand::Rng::with_seed(seed());
        let writer = handles[0].clone();
        let mut own = random.fork();
        let writing = tokio::spawn(async move {
            for _ in 0..600 {
                step(&writer, &mut own).await;
            }
        });
        let mut workers: Vec<WorkerHandle> = Vec::new();
        while !writing.is_finished() {
            match random.u32(..3) {
                0 if workers.len() > 1 => drop(workers.swap_remove(0)),
                1 if workers.len() > 1 => workers.swap_remove(0).stop().await.unwrap(),
                _ if workers.len() < 4 => {
                    workers.push(work(&handles[random.usize(..3)], 5).await);
                }
                _ => {}
            }
            for _ in 0..random.u32(..200) {
                tokio::task::yield_now().await;
            }
        }
        writing.await.unwrap();
        let last = work(&handles[1], 5).await;
        compare_all(&handles[2]).await;
        for worker in workers.into_iter().chain([last]) {
            worker.stop().await.unwrap();
        }
    }
}

/// Reshards the view to another number in each deployment, while events arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_a_resharded_view_skips_and_repeats_nothing() {
    for store in banks() {
        let bank = store.open().await;
        let mut random = fastrand::Rng::with_seed(seed());
        for shards in [1, 4, 2, 7, 1] {
            for _ in 0..60 {
                step(&bank, &mut random).await;
            }
            let worker = work(&bank, shards).await;
            for _ in 0..30 {
                step(&bank, &mut random).await;
            }
            // Some shards are ahead of others when the worker is dropped.
            drop(worker);
        }
        let worker = work(&bank, 3).await;
        compare_all(&bank).await;
        worker.stop().await.unwrap();
    }
}

/// Changes the number of shards worker by worker. An idle worker with the old sharding may start to
/// work just after the view was resharded.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_a_worker_of_the_old_sharding_does_not_work_in_the_new_one() {
    for store in banks() {
        let bank = store.open().await;
        let mut random = fastrand::Rng::with_seed(seed());
        let (busy, idle) = (work(&bank, 1).await, work(&bank, 1).await);
        for _ in 0..50 {
            step(&bank, &mut random).await;
        }
        compare_all(&bank).await;
        let new = work(&bank, 3).await;
        busy.stop().await.unwrap();
        for _ in 0..50 {
            step(&bank, &mut random).await;
        }
        compare_all(&bank).await;
        idle.stop().await.unwrap();
        for _ in 0..50 {
            step(&bank, &mut random).await;
        }
        compare_all(&bank).await;
        new.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_shards_are_shared_and_move_when_a_worker_joins_or_dies() {
    for store in banks() {
        let handles = [store.open().await, store.open().await];
        let mut random = fastrand::Rng::with_seed(seed());
        let first = work(&handles[0], 4).await;
        step(&handles[0], &mut random).await;
        compare_all(&handles[0]).await;
        let second = work(&handles[1], 4).await;
        holders_become(&handles[0], 2).await;
        drop(first);
        holders_become(&handles[0], 1).await;
        step(&handles[0], &mut random).await;
        compare_all(&handles[0]).await;
        second.stop().await.unwrap();
    }
}

/// Waits until this number of workers hold all shards of a view, and none more than its share.
async fn holders_become(bank: &Highwater, workers: usize) {
    let view = highwater::domain::ViewName::new("by_customer").unwrap();
    let onlooker = highwater::port::WorkerId::new("~onlooker").unwrap();
    loop {
        let roll = bank.views().heartbeat(&view, &onlooker, Duration::ZERO).await.unwrap();
        let held: Vec<_> = roll.holders.iter().flatten().collect();
        let mut names = held.clone();
        names.sort();
        names.dedup();
        if held.len() == 4 && names.len() == workers {
            let count = |name| held.iter().filter(|holder| **holder == name).count();
            if names.iter().all(|name| count(*name) == 4 / workers) {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
