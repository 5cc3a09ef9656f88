//! Cancelled reads. The connection of a cancelled read must give the next caller its own response,
//! and hold no lock and no snapshot.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use highwater_core::{
    CommandId, Position, Query, ReadFrom, SchemaVersion, StreamId, Version,
    domain::ViewName,
    port::{Append, Snapshot, Store, ViewCommit},
};
use highwater_stores::testing::{build, seed};
use sqlx::AssertSqlSafe;

use super::{error_messages, open_sqlite, server::Server};

/// The number of streams, each with a different number of events.
const STREAMS: u64 = 6;
const READERS: u64 = 12;
const READS: u64 = 250;

fn stream(number: u64) -> StreamId {
    build::stream_of("cancelled", &number.to_string())
}

fn command(number: u64) -> CommandId {
    CommandId::derive(["cancelled", &number.to_string()])
}

/// Fills the store, with payloads that take a while to read.
async fn fill(store: &dyn Store) -> ViewName {
    let commit = super::commit(store, "cancelled").await;
    for number in 0..STREAMS {
        let events = (0..=number).map(|_| build::with_payload(vec![b'x'; 30_000])).collect();
        let append =
            build::append_to(&stream(number), highwater_core::value::Expected::Any, events);
        store.append(Append { command: command(number), ..append }).await.unwrap();
        let snapshot = Snapshot {
            stream: stream(number),
            version: Version::new(number + 1),
            head: build::event_id(),
            schema: SchemaVersion::FIRST,
            state: number.to_string().into(),
        };
        store.save_snapshot(snapshot).await.unwrap();
    }
    let row = |number: u64| (number.to_string(), Some(number.to_string().into()));
    let rows = (0..STREAMS).map(row).collect();
    let view = commit.view.clone();
    store.commit_view(ViewCommit { rows, ..commit }).await.unwrap();
    view
}

/// Reads in one of several ways, chosen by `way`, and checks that the response belongs to `number`.
async fn read(store: &dyn Store, view: &ViewName, way: u64, number: u64) {
    let events = (number + 1) as usize;
    match way {
        0 => {
            let page = store.read_stream(&stream(number), ReadFrom::After(Version::NONE), 99).await;
            let page = page.unwrap();
            assert_eq!(page.events.len(), events);
            assert!(page.events.iter().all(|event| event.stream == stream(number)));
        }
        1 => {
            let known = store.find_command(command(number)).await.unwrap().unwrap();
            assert_eq!(known.appended.streams[0].stream, stream(number));
        }
        2 => {
            let snapshot = store.load_snapshot(&stream(number)).await.unwrap().unwrap();
            assert_eq!(snapshot.state, number.to_string());
        }
        3 => {
            let stored = store.read_view(view, &[number.to_string()]).await.unwrap();
            assert_eq!(stored.rows[0].value.as_deref(), Some(number.to_string().as_bytes()));
        }
        4 => {
            let page =
                store.read_log(&Query::all(), ReadFrom::After(Position::new(number)), events).await;
            let page = page.unwrap();
            assert_eq!(page.events[0].position.get(), number + 1);
            assert_eq!(page.events.len(), events);
        }
        _ => assert!(store.head().await.unwrap().get() >= STREAMS * (STREAMS + 1) / 2),
    }
}

/// Cancels a read after a random number of polls or a random time, and returns true if the read was
/// still pending. Polls cancel at any speed of the machine. A time hits the moments between two
/// polls.
async fn is_cancelled(reading: impl Future<Output = ()>, random: &mut fastrand::Rng) -> bool {
    if random.bool() {
        let patience = Duration::from_micros(random.u64(0..8_000));
        return tokio::time::timeout(patience, reading).await.is_err();
    }
    let mut reading = pin!(reading);
    let mut steps = random.u8(1..12);
    poll_fn(|context| match reading.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(false),
        Poll::Pending => {
            steps -= 1;
            if steps == 0 { Poll::Ready(true) } else { Poll::Pending }
        }
    })
    .await
}

/// Runs many readers, of which many are cancelled at a random moment, beside a writer.
async fn cancel_many(store: &Arc<dyn Store>) {
    let view = fill(&**store).await;
    let seed = seed();
    let gone = Arc::new(AtomicUsize::new(0));
    let readers = (0..READERS).map(|reader| {
        let store = Arc::clone(store);
        let view = view.clone();
        let gone = Arc::clone(&gone);
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(reader));
        tokio::spawn(async move {
            for _ in 0..READS {
                let reading = read(&*store, &view, random.u64(0..6), random.u64(0..STREAMS));
                if is_cancelled(reading, &mut random).await {
                    gone.fetch_add(1, Ordering::Relaxed);
                }
                if random.u8(..) < 32 {
                    let other = build::stream_of("beside", &reader.to_string());
                    drop(store.append(build::append_one(&other, build::event())));
                }
            }
        })
    });
    for reader in futures_util::future::join_all(readers).await {
        reader.unwrap();
    }
    let all = (READERS * READS) as usize;
    let gone = gone.load(Ordering::Relaxed);
    assert!(gone > all / 50 && gone < all * 19 / 20, "{gone} of {all} were cancelled");
    for number in 0..STREAMS {
        for way in 0..6 {
            read(&**store, &view, way, number).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_cancelled_reads_leave_other_readers_their_answers_on_sqlite() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    let sqlite = open_sqlite(&url).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(sqlite.clone());
    cancel_many(&store).await;
    // A reader that held its snapshot would block the checkpoint of the write-ahead log.
    store.head().await.unwrap();
    let mut other = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
    let (busy, log, written): (i64, i64, i64) =
        sqlx::query_as("pragma wal_checkpoint(restart)").fetch_one(&mut other).await.unwrap();
    assert_eq!((busy, log), (0, written));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_cancelled_reads_leave_other_readers_their_answers_on_postgres() {
    let Some(server) =
        Server::of("r_cancelled_reads_leave_other_readers_their_answers_on_postgres").await
    else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(server.open().await.unwrap());
    cancel_many(&store).await;
    let sessions = format!(
        "select coalesce(state, ''), count(*) from pg_stat_activity where usename = '{}' group by 1",
        server.name
    );
    // The query of an abandoned session ends by itself.
    let sessions: Vec<(String, i64)> = loop {
        let sessions = sqlx::query_as(AssertSqlSafe(sessions.as_str()));
        let sessions: Vec<(String, i64)> =
            sessions.fetch_all(&mut server.owner().await).await.unwrap();
        if sessions.iter().all(|(state, _)| state != "active") {
            break sessions;
        }
    };
    let [(state, number)] = sessions.as_slice() else { panic!("{sessions:?}") };
    assert_eq!(state, "idle");
    assert!(*number <= 4 + 1 + 1, "readers, listener, writer: {number}");
}
