//! The SQLite store.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![cfg(all(feature = "sqlite", feature = "testing"))]

use std::sync::Arc;

use highwater_core::{Position, Query, ReadFrom, port::EventStore as _};
use highwater_stores::{
    SqliteOptions, SqliteStore, SystemClock, conformance,
    testing::{Fixture, build},
};

conformance!(sqlite, || async {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    let open = move || {
        let options = SqliteOptions::new(&url).unwrap();
        async { SqliteStore::open(options, Arc::new(SystemClock)).await.unwrap() }
    };
    Fixture::new(open).await.keeping(folder)
});

/// Opens a new file at once. The first opener switches it to WAL, under a lock for which SQLite
/// doesn't wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_concurrent_openers_open_a_new_file() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("log.db").display());
        let opening = (0..8).map(|_| {
            let options = SqliteOptions::new(&url).unwrap();
            tokio::spawn(SqliteStore::open(options, Arc::new(SystemClock)))
        });
        for opened in futures_util::future::join_all(opening).await {
            opened.unwrap().unwrap();
        }
    }
}

/// Runs in the long tests only, because it writes more than a gigabyte.
#[tokio::test(flavor = "multi_thread")]
async fn r_a_page_larger_than_a_value_of_sqlite_is_read_in_parts() {
    let long = ["HIGHWATER_FIRE_MINUTES", "HIGHWATER_FIRE_SECONDS"];
    if long.iter().all(|variable| std::env::var_os(variable).is_none()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    let options = SqliteOptions::new(&url).unwrap();
    let store = SqliteStore::open(options, Arc::new(SystemClock)).await.unwrap();
    let stream = build::stream("large");
    for _ in 0..150 {
        let event = build::with_payload(vec![b'x'; 8 << 20]);
        store.append(build::append_one(&stream, event)).await.unwrap();
    }
    let mut position = Position::START;
    let mut events = 0;
    while events < 150 {
        let page = store.read_log(&Query::all(), ReadFrom::After(position), 1_000).await.unwrap();
        assert!(!page.events.is_empty());
        for event in &page.events {
            events += 1;
            assert_eq!((event.position.get(), event.payload.len()), (events, 8 << 20));
        }
        position = page.through;
    }
}
