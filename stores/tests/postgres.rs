//! The PostgreSQL store, on the server that `HIGHWATER_TEST_POSTGRES` names.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![cfg(all(feature = "postgres", feature = "testing"))]

use std::env;

use highwater_stores::{PostgresOptions, PostgresStore, conformance, testing::Fixture};

/// Each property has a schema of its own in the database that the URL names.
fn options() -> Option<PostgresOptions> {
    let url = env::var("HIGHWATER_TEST_POSTGRES").ok()?;
    let schema = format!("test_{:016x}", fastrand::u64(..));
    Some(PostgresOptions::new(&url).unwrap().schema(&schema).unwrap().connections(4))
}

conformance!(postgres, || async {
    let options = options()?;
    let open = move || {
        let options = options.clone();
        async { PostgresStore::connect(options).await.unwrap() }
    };
    Some(Fixture::new(open).await)
});
