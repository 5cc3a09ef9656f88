//! R1, fed by the log: views equal its fold after faults of workers and the server.

use std::time::{Duration, Instant};

use highwater::{Highwater, Open as _, View, domain::ViewName};
use highwater_test_support::{
    fleet::{FaultPlan, Fleet},
    ledger::ByCustomer,
    postgres::PostgresCluster,
    run::{min_events, seed},
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;

use crate::{
    checker, duration,
    worker_process::{LEASE, Orders, Task},
    writer::{self, Keyspace, WriteLoad},
};

/// A fault every few hundred milliseconds.
pub(crate) const FAULTS: FaultPlan = FaultPlan { interval: 100..500, lease: LEASE };

/// Writes while faults are injected into workers, and calls `between` every few seconds. Then checks the views.
fn run_with_faults(url: &str, shards: u32, workers: usize, mut between: impl FnMut()) {
    let (seed, time) = (seed(), duration());
    let keys = Keyspace::for_events((1_000 * time.as_secs()).max(min_events()) as u32);
    let runtime = Runtime::new().unwrap();
    let bank = runtime.block_on(Highwater::open(url)).unwrap();
    let load = WriteLoad { tasks: 8, batch: 3, rest: Duration::from_millis(5) };
    let writing = writer::start(runtime.handle(), &bank, seed, keys, load);
    let mut fleet = Fleet::start(Orders::direct(Task::Ledger, url, shards), workers, FAULTS, seed);
    let until = Instant::now() + time;
    while Instant::now() < until || writing.written() < min_events() {
        fleet.inject_faults_for(Duration::from_secs(2));
        between();
    }
    fleet.wait_until_thawed();
    let written = runtime.block_on(writing.stop());
    let calm = Instant::now();
    let findings = runtime.block_on(checker::check(&bank, &keys));
    let caught_up = calm.elapsed();
    let counts = fleet.shut_down();
    println!("{written} events; {counts:?}; caught up and checked after {caught_up:?}");
    checker::assert_no_findings(&findings);
    assert!(
        written > 1_000 && written >= min_events() && counts.killed > 3,
        "too few events or faults to be conclusive"
    );
}

#[test]
fn r1_postgres_views_are_the_fold_of_the_log_over_kills_zombies_and_crashes_of_the_server() {
    let Some(cluster) = PostgresCluster::start("r1_postgres_views_are_the_fold_of_the_log") else {
        return;
    };
    run_with_faults(&cluster.url(), 5, 3, || {
        cluster.crash();
        cluster.restart();
    });
}

#[test]
fn r1_sqlite_views_are_the_fold_of_the_log_over_kills_and_freezes_of_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("bank.db").display());
    run_with_faults(&url, 2, 1, || {});
}

/// A machine that disappears in the middle of a commit leaves a lock in the database, until the
/// database detects it.
#[test]
fn r1_postgres_a_commit_that_hangs_delays_only_its_shard() {
    let Some(cluster) =
        PostgresCluster::start("r1_postgres_a_commit_that_hangs_delays_only_its_shard")
    else {
        return;
    };
    let keys = Keyspace::for_events(4_000);
    let runtime = Runtime::new().unwrap();
    let bank = runtime.block_on(Highwater::open(&cluster.url())).unwrap();
    let seed = seed();
    let orders = Orders::direct(Task::Ledger, &cluster.url(), 4);
    let mut fleet = Fleet::start(orders, 2, FAULTS, seed);
    let load = WriteLoad { tasks: 2, batch: 1, rest: Duration::from_millis(5) };
    let writing = writer::start(runtime.handle(), &bank, seed, keys, load);
    let hanging = runtime.block_on(async {
        other_shards_advance(&bank).await;
        let mut commit = PgConnection::connect(&cluster.url()).await.unwrap();
        commit.execute(HANGING).await.unwrap();
        commit
    });
    // The commit first hangs beside a live worker, then after all workers are killed.
    runtime.block_on(other_shards_advance(&bank));
    fleet.kill_all();
    runtime.block_on(async {
        other_shards_advance(&bank).await;
        drop(hanging);
        writing.stop().await;
        checker::assert_no_findings(&checker::check(&bank, &keys).await);
    });
    fleet.shut_down();
}

const HANGING: &str = "begin; select from highwater.shards \
                       where view = 'by_customer' and shard = 0 for update";

/// Waits until all shards of a view except the first have applied all following events.
async fn other_shards_advance(bank: &Highwater) {
    let later = bank.log().head().await.unwrap().get() + 200;
    let reached = async {
        let view = ViewName::new(ByCustomer::NAME).unwrap();
        loop {
            let state = bank.views().read_view(&view, &[]).await.map(|stored| stored.state);
            let shards = state.map(|state| state.shards).unwrap_or_default();
            if shards.len() > 1 && shards[1..].iter().all(|at| at.position.get() >= later) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(checker::CATCH_UP_TIMEOUT, reached).await.expect("other shards hang, too");
}
