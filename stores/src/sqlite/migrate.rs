//! The schema, versioned. Safe to run from several processes at once: the first takes the file's
//! write lock, the others wait for it.

use highwater_core::{Code, Result, error::Invalid};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{
    error::{classify, door},
    options::Prefix,
};

/// Every migration, in order; the version is the place in this list, from 1.
const MIGRATIONS: &[&str] =
    &[include_str!("sql/001_tables.sql"), include_str!("sql/002_append_all.sql")];

/// Brings the schema up to date, or refuses it if a newer Highwater has been there.
pub(super) async fn migrate(connection: &mut SqliteConnection, prefix: &Prefix) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(door)?;
    let tables: i64 = sqlx::query_scalar(
        "select count(*) from sqlite_master where type = 'table' and name in (?, ?)",
    )
    .bind(format!("{prefix}migrations"))
    .bind(format!("{prefix}events"))
    .fetch_one(&mut *transaction)
    .await
    .map_err(door)?;
    if tables == 1 {
        let message = format!("the file has a table {prefix}events that is not Highwater's");
        return Err(Invalid::new(Code::FOREIGN_DATABASE, message).into());
    }
    let create = format!(
        "create table if not exists {prefix}migrations (version integer primary key, \
         applied_at text not null default current_timestamp)"
    );
    let count = format!("select count(*) from {prefix}migrations");
    sqlx::query(AssertSqlSafe(create)).execute(&mut *transaction).await.map_err(door)?;
    let done: i64 = sqlx::query_scalar(AssertSqlSafe(count))
        .fetch_one(&mut *transaction)
        .await
        .map_err(classify("migrating"))?;
    let done = known(usize::try_from(done).unwrap_or(usize::MAX))?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let version = index + 1;
        let sql = format!(
            "{}; insert into {prefix}migrations (version) values ({version});",
            prefix.fill(migration).trim_end().trim_end_matches(';')
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *transaction)
            .await
            .map_err(classify("migrating"))?;
        tracing::info!(%prefix, version, "migrated");
    }
    transaction.commit().await.map_err(classify("migrating"))
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
