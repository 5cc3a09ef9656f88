//! W3: a follower delivers what was committed, in order and once, while writers stall and roll back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use highwater_core::{
    EventId, Position, Query, ReadFrom, follow::Follower, port::Store, value::Expected,
};
use highwater_stores::{
    MemoryStore, PostgresHook, PostgresOptions, PostgresStore,
    testing::{build, read, seed},
};
use highwater_test_support::postgres::PostgresCluster;
use sqlx::{Connection, Executor, PgConnection};

use super::{duration, writer_process};

/// Follows until it is stopped and everything has been delivered. Restarts from its checkpoint at random.
async fn follow(store: Arc<dyn Store>, stop: Arc<AtomicBool>, seed: u64) -> Vec<EventId> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut delivered = Vec::new();
    let mut follower = Follower::new(Arc::clone(&store) as _, Query::all(), Position::START);
    loop {
        let next = tokio::time::timeout(Duration::from_millis(200), follower.next_page()).await;
        match next {
            Ok(page) => {
                for event in page.unwrap().events {
                    let expected = delivered.len() as u64 + 1;
                    assert_eq!(event.position.get(), expected, "in order, no gaps, no repeats");
                    delivered.push(event.id);
                }
            }
            Err(_) if stop.load(Ordering::Acquire) => return delivered,
            Err(_) => {}
        }
        if random.u8(..) < 40 {
            let checkpoint = follower.position();
            let size = random.usize(1..300);
            follower =
                Follower::new(Arc::clone(&store) as _, Query::all(), checkpoint).page_size(size);
        }
    }
}

/// Reads all committed events by pages, after the writers have stopped.
async fn committed(store: &dyn Store) -> Vec<EventId> {
    let mut events = Vec::new();
    let mut after = Position::START;
    loop {
        let page = store.read_log(&Query::all(), ReadFrom::After(after), 1000).await.unwrap();
        events.extend(page.events.iter().map(|event| event.id));
        after = page.through;
        if !page.more {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w3_postgres_delivers_what_is_committed_while_four_processes_write() {
    let Some(cluster) =
        PostgresCluster::start("w3_postgres_delivers_what_is_committed_while_four_processes_write")
    else {
        return;
    };
    let url = cluster.url();
    let seed = seed();
    let store = writer_process::open(&url, "fire").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let following = tokio::spawn(follow(Arc::clone(&store), Arc::clone(&stop), seed));

    // An unrelated transaction with a snapshot and a transaction id stays open throughout.
    let mut idle = PgConnection::connect(&url).await.unwrap();
    for statement in [
        "create table unrelated (n int)",
        "begin isolation level repeatable read",
        "insert into unrelated values (1)",
    ] {
        idle.execute(statement).await.unwrap();
    }

    let children: Vec<_> = (1..=4).map(|n| writer_process::start(&url, "fire", seed ^ n)).collect();
    let troubled = tokio::spawn(stall_and_roll_back(url.clone(), Arc::clone(&stop), seed));
    tokio::time::sleep(duration()).await;
    let acknowledged: usize = children.into_iter().map(|child| child.kill().len()).sum();
    stop.store(true, Ordering::Release);
    troubled.await.unwrap();
    idle.execute("rollback").await.unwrap();

    let delivered = following.await.unwrap();
    assert_eq!(delivered, committed(&*store).await);
    assert!(acknowledged > 100 && delivered.len() >= acknowledged);
}

/// Appends that stall or roll back in the middle of their transaction.
async fn stall_and_roll_back(url: String, stop: Arc<AtomicBool>, seed: u64) {
    let options = PostgresOptions::new(&url).unwrap().schema("fire").unwrap();
    let store = PostgresStore::connect(options).await.unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    while !stop.load(Ordering::Acquire) {
        let stall = Duration::from_millis(random.u64(0..80));
        let fail = random.bool();
        let work = PostgresHook::new(move |connection, _| {
            Box::pin(async move {
                let touched = connection.execute("create temp table if not exists t (n int)").await;
                touched.map_err(highwater_core::error::Source::new).unwrap();
                tokio::time::sleep(stall).await;
                let refused = highwater_core::Rejection::new("rolled_back", "on purpose");
                if fail { Err(refused.into()) } else { Ok(()) }
            })
        });
        let mut append = build::append_to(&build::stream("t"), Expected::Any, build::events(2));
        append.hook = Some(Arc::new(work));
        let outcome = highwater_core::port::EventStore::append(&store, append).await;
        assert_eq!(outcome.is_err(), fail, "{outcome:?}");
    }
}

/// Runs the same test in one process, with tasks instead of processes.
async fn in_one_process(store: Arc<dyn Store>) {
    let seed = seed();
    let stop = Arc::new(AtomicBool::new(false));
    let following = tokio::spawn(follow(Arc::clone(&store), Arc::clone(&stop), seed));
    let writers = (0..8).map(|task| {
        let store = Arc::clone(&store);
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            for number in 0.. {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                store.append(writer_process::append(seed, task, number)).await.unwrap();
                let stale = build::append_to(&build::stream("x"), Expected::StreamExists, vec![]);
                assert!(store.append(stale).await.unwrap_err().is_conflict());
                // The memory store never suspends its caller, so other tasks need a chance to run.
                tokio::task::yield_now().await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    tokio::time::sleep(duration() / 3).await;
    stop.store(true, Ordering::Release);
    futures_util::future::join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    let delivered = following.await.unwrap();
    assert_eq!(delivered, committed(&*store).await);
    assert_eq!(delivered.len(), read::log(&*store, &Query::all()).await.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w3_sqlite_delivers_what_is_committed_while_eight_tasks_write() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    in_one_process(writer_process::open(&url, "").await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w3_memory_delivers_what_is_committed_while_eight_tasks_write() {
    in_one_process(Arc::new(MemoryStore::default())).await;
}
