//! The schema, versioned. Safe to run from several processes at once.

use highwater_core::{Code, Result, error::Invalid};
use sqlx::{PgPool, Row};

use super::{
    error::{classify, door},
    options::Schema,
};

/// Every migration, in order; the version is the place in this list, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("sql/001_tables.sql"),
    include_str!("sql/002_append.sql"),
    include_str!("sql/003_append_all.sql"),
];

/// Brings the schema up to date, or refuses it if a newer Highwater has been there.
pub(super) async fn migrate(pool: &PgPool, schema: &Schema) -> Result<()> {
    if applied(pool, schema).await? == Some(MIGRATIONS.len()) {
        return Ok(());
    }
    let mut transaction = pool.begin().await.map_err(classify("migrating"))?;
    let name = schema.as_str();
    let prepare = format!(
        "select pg_advisory_xact_lock(hashtextextended('highwater migrations {name}', 0));
         create schema if not exists {name};
         create table if not exists {name}.migrations (
             version integer primary key, applied_at timestamptz not null default now());"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *transaction).await.map_err(door)?;
    let count = format!("select count(*) from {name}.migrations");
    let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
        .fetch_one(&mut *transaction)
        .await
        .map_err(classify("migrating"))?;
    let done = known(usize::try_from(count).unwrap_or(usize::MAX))?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let version = index + 1;
        let sql = format!(
            "{}; insert into {name}.migrations (version) values ({version});",
            schema.fill(migration).trim_end().trim_end_matches(';')
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut *transaction)
            .await
            .map_err(classify("migrating"))?;
        tracing::info!(schema = name, version, "migrated");
    }
    transaction.commit().await.map_err(classify("migrating"))
}

/// How many migrations have been applied; `None` if the schema isn't there.
async fn applied(pool: &PgPool, schema: &Schema) -> Result<Option<usize>> {
    let table = format!("{}.migrations", schema.as_str());
    let there = sqlx::query("select to_regclass($1) is not null")
        .bind(&table)
        .fetch_one(pool)
        .await
        .map_err(door)?;
    if !there.try_get::<bool, _>(0).map_err(classify("migrating"))? {
        return Ok(None);
    }
    let count = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    let count: i64 =
        sqlx::query_scalar(count).fetch_one(pool).await.map_err(classify("migrating"))?;
    known(usize::try_from(count).unwrap_or(usize::MAX)).map(Some)
}

fn known(version: usize) -> Result<usize> {
    if version > MIGRATIONS.len() {
        let message = format!(
            "the database is at version {version} of Highwater's schema; this program knows \
             versions up to {}: use a newer Highwater",
            MIGRATIONS.len()
        );
        return Err(Invalid::new(Code::NEWER_DATABASE, message).into());
    }
    Ok(version)
}
