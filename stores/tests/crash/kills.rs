//! W4 and W7: every acknowledged append is stored exactly once, and a retry adds nothing.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use highwater_core::{CommandId, Query, port::Store};
use highwater_stores::testing::{read, seed};
use highwater_test_support::postgres::PostgresCluster;

use super::{
    duration,
    writer_process::{self, TASKS, append},
};

/// Kills a writing process repeatedly, and calls `between` while it writes.
fn kill_repeatedly(url: &str, schema: &str, between: impl Fn()) {
    let mut random = fastrand::Rng::with_seed(seed());
    let until = Instant::now() + duration();
    let mut acknowledged = Vec::new();
    while Instant::now() < until {
        let child_seed = random.u64(..);
        let writing = writer_process::start(url, schema, child_seed);
        thread::sleep(Duration::from_millis(random.u64(300..1500)));
        between();
        acknowledged.push((child_seed, writing.kill()));
    }
    let total: usize = acknowledged.iter().map(|(_, acks)| acks.len()).sum();
    assert!(total > 100, "only {total} appends were acknowledged, which is too few");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = writer_process::open(url, schema).await.unwrap();
        check(&*store, &acknowledged).await;
    });
}

async fn check(store: &dyn Store, acknowledged: &[(u64, Vec<(u64, u64)>)]) {
    let before = events_by_command(store).await;
    for (seed, acks) in acknowledged {
        let mut next = [0; TASKS as usize];
        for (task, number) in acks {
            let append = append(*seed, *task, *number);
            let stored = before.get(&append.command).copied().unwrap_or_default();
            assert_eq!(stored, append.events().count(), "an acknowledged append is stored once");
            next[*task as usize] = number + 1;
        }
        // An append under way at the kill may be stored or not. After a retry it is stored once. So
        // is an append that was already stored.
        for task in 0..TASKS {
            let end = next[task as usize] + 1;
            for number in end.saturating_sub(3)..end {
                store.append(append(*seed, task, number)).await.unwrap();
            }
        }
    }
    let after = events_by_command(store).await;
    for (command, events) in &before {
        assert_eq!(after.get(command), Some(events), "a retry neither loses nor adds events");
    }
    let log = read::log(store, &Query::all()).await;
    assert!(log.iter().zip(1..).all(|(event, n)| event.position.get() == n), "no gaps");
}

async fn events_by_command(store: &dyn Store) -> HashMap<CommandId, usize> {
    let mut events = HashMap::new();
    for event in read::log(store, &Query::all()).await {
        *events.entry(event.command).or_default() += 1;
    }
    events
}

#[test]
fn w4_w7_sqlite_keeps_what_it_acknowledged_over_kills_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    kill_repeatedly(&url, "", || {});
}

#[test]
fn w4_w7_postgres_keeps_what_it_acknowledged_over_kills_of_process_and_server() {
    let Some(cluster) = PostgresCluster::start("w4_w7_postgres_keeps_what_it_acknowledged") else {
        return;
    };
    kill_repeatedly(&cluster.url(), "fire", || {
        cluster.crash();
        cluster.restart();
        thread::sleep(Duration::from_millis(200));
    });
}
