//! The SQLite store.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![cfg(all(feature = "sqlite", feature = "testing"))]

use std::sync::Arc;

use highwater_stores::{SqliteOptions, SqliteStore, SystemClock, conformance, testing::Fixture};

conformance!(sqlite, || async {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    let open = move || {
        let options = SqliteOptions::new(&url).unwrap();
        async { SqliteStore::open(options, Arc::new(SystemClock)).await.unwrap() }
    };
    Fixture::new(open).await.keeping(folder)
});

/// A new file is changed to WAL by whoever opens it first, under a lock for which SQLite doesn't wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_is_opened_by_eight_at_once() {
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
