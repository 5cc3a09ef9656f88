//! The schema, versioned. Safe to run from several processes at once: the first takes the file's
//! write lock, the others wait for it.

use std::path::Path;

use highwater_core::{Code, LogId, Result, error::Invalid};
use sqlx::{AssertSqlSafe, SqliteConnection, SqlitePool};

use super::{
    error::{classify, door, migrating},
    options::Prefix,
    writing::Writing,
};

/// Every migration, in order; the version is the place in this list, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("sql/001_tables.sql"),
    include_str!("sql/002_views.sql"),
    include_str!("sql/003_identity.sql"),
];

/// The version from which on rows of views are text.
const ROWS_ARE_TEXT: usize = 2;

/// Brings the schema up to date, or refuses it if it is foreign or a newer Highwater has been there.
pub(super) async fn migrate(writing: &mut Writing, prefix: &Prefix, file: &Path) -> Result<()> {
    let mut transaction = writing.begin_writing().await.map_err(door(file))?;
    let done = prepare(&mut transaction, prefix, file).await?;
    must_be_utf_8(&mut transaction).await?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        apply(&mut transaction, prefix, index + 1, migration).await?;
    }
    // A file that may only be read lets transactions begin that are meant to write; not this one.
    let write = format!("delete from {prefix}migrations where false");
    sqlx::query(AssertSqlSafe(write)).execute(&mut *transaction).await.map_err(door(file))?;
    transaction.commit().await.map_err(classify("migrating"))
}

/// Which log it is.
pub(super) async fn identity(readers: &SqlitePool, prefix: &Prefix, file: &Path) -> Result<LogId> {
    let sql = format!("select id from {prefix}identity");
    let id = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(readers).await;
    let id: Vec<u8> = id.map_err(door(file))?;
    Ok(LogId::of(&id))
}

/// Says which migrations have been done.
async fn prepare(connection: &mut SqliteConnection, prefix: &Prefix, file: &Path) -> Result<usize> {
    let (table, events) = (format!("{prefix}migrations"), format!("{prefix}events"));
    let has_migrations = has(connection, &table, file).await?;
    match (has_migrations, has(connection, &events, file).await?) {
        (true, true) => return known(version(connection, &table).await?),
        (false, false) => {}
        (true, false) => return Err(foreign(&table, &events)),
        (false, true) => return Err(foreign(&events, &table)),
    }
    let create = format!(
        "create table {table} (version integer primary key, \
         applied_at text not null default current_timestamp)"
    );
    sqlx::query(AssertSqlSafe(create)).execute(connection).await.map_err(door(file))?;
    Ok(0)
}

async fn apply(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    version: usize,
    migration: &str,
) -> Result<()> {
    if version == ROWS_ARE_TEXT {
        rows_as_text(connection, prefix).await?;
    }
    let sql = format!(
        "{}; insert into {prefix}migrations (version) values ({version});",
        prefix.fill(migration).trim_end().trim_end_matches(';')
    );
    let applied = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    applied.map_err(migrating("something"))?;
    tracing::info!(%prefix, version, "migrated");
    Ok(())
}

/// JSON is text for SQLite; a blob would be its own binary form of it.
async fn rows_as_text(connection: &mut SqliteConnection, prefix: &Prefix) -> Result<()> {
    let tables = format!(
        "select name from sqlite_master join {prefix}checkpoints on name = '{prefix}view_' || view"
    );
    let tables = sqlx::query_scalar(AssertSqlSafe(tables)).fetch_all(&mut *connection).await;
    let tables: Vec<String> = tables.map_err(migrating("something"))?;
    for table in tables {
        let sql = format!(
            "create table {prefix}rows (key text primary key, value text not null) without rowid;
             insert into {prefix}rows (key, value) select key, cast(value as text) from {table};
             drop table {table};
             alter table {prefix}rows rename to {table}"
        );
        let copied = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
        copied.map_err(migrating(&table))?;
    }
    Ok(())
}

async fn has(connection: &mut SqliteConnection, table: &str, file: &Path) -> Result<bool> {
    sqlx::query_scalar("select exists (select 1 from sqlite_master where name = ?)")
        .bind(table)
        .fetch_one(connection)
        .await
        .map_err(door(file))
}

async fn version(connection: &mut SqliteConnection, table: &str) -> Result<usize> {
    let sql = format!("select coalesce(max(version), 0) from {table}");
    let version: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .map_err(migrating(table))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

fn foreign(there: &str, missing: &str) -> highwater_core::Error {
    let message = format!(
        "the file has a table {there} but no {missing}: either it is not Highwater's, or a table \
         has been dropped"
    );
    Invalid::new(Code::FOREIGN_DATABASE, message).into()
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

/// Pages of events are put together from bytes and text, which is the same in this encoding only.
async fn must_be_utf_8(connection: &mut SqliteConnection) -> Result<()> {
    let encoding = sqlx::query_scalar("pragma encoding").fetch_one(connection).await;
    let encoding: String = encoding.map_err(classify("opening the database"))?;
    if encoding == "UTF-8" {
        return Ok(());
    }
    let message = format!("the text of the database file is in {encoding}, and must be in UTF-8");
    Err(Invalid::new(Code::BAD_DATABASE, message).into())
}
