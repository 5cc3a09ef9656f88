//! The PostgreSQL store, on the server that `HIGHWATER_TEST_POSTGRES` names.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![cfg(all(feature = "postgres", feature = "testing"))]

use std::{env, io::Write as _};

use highwater_stores::{PostgresOptions, PostgresStore, conformance, testing::Fixture};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Returns options with a new schema, one for each property, in the database of the URL.
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

/// Drops the schemas of runs before the last hour. Each test leaves a schema, so that a failure can
/// be examined, and on a developer's own server they would accumulate.
#[tokio::test]
async fn schemas_of_older_runs_are_dropped_and_no_others() {
    let Ok(url) = env::var("HIGHWATER_TEST_POSTGRES") else {
        let _ = writeln!(std::io::stderr(), "SKIPPED dropping schemas: no server is named");
        return;
    };
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let [old, young] = [(); 2].map(|()| format!("test_{:016x}", fastrand::u64(..)));
    for schema in [&old, &young] {
        let options = PostgresOptions::new(&url).unwrap().schema(schema).unwrap();
        PostgresStore::connect(options).await.unwrap().close().await;
    }
    let age = format!("update {old}.migrations set applied_at = now() - interval '61 minutes'");
    sqlx::query(AssertSqlSafe(age)).execute(&mut connection).await.unwrap();
    for schema in schemas(&mut connection).await {
        let migrated =
            format!("select max(applied_at) < now() - interval '1 hour' from {schema}.migrations");
        let is_old = sqlx::query_scalar(AssertSqlSafe(migrated)).fetch_one(&mut connection).await;
        // Another run may be dropping the schema at the same time.
        if is_old.unwrap_or(Some(false)) == Some(true) {
            let drop = format!("drop schema if exists {schema} cascade");
            sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
        }
    }
    let left = schemas(&mut connection).await;
    assert!(!left.contains(&old) && left.contains(&young));
}

async fn schemas(connection: &mut PgConnection) -> Vec<String> {
    let sql = "select nspname::text from pg_namespace where nspname ~ '^test_[0-9a-f]{16}$'";
    sqlx::query_scalar(sql).fetch_all(connection).await.unwrap()
}
