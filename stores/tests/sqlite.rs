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
