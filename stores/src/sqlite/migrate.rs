//! Migrations of the schema. They are safe to run from several processes at once: the first one takes the
//! file's write lock, and the others wait for it.

use std::path::Path;

use highwater_core::{Code, LogId, Result, error::Invalid};
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    error::{classify, classify_migration, classify_open},
    options::Prefix,
    write_connection::WriteConnection,
};
use crate::sql::schema_version::check_version;

/// All migrations, in order. The version of a migration is its index in this list, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("sql/001_tables.sql"),
    include_str!("sql/002_views.sql"),
    include_str!("sql/003_identity.sql"),
    include_str!("sql/004_stopped.sql"),
    include_str!("sql/005_lease_start.sql"),
    include_str!("sql/006_definition.sql"),
    include_str!("sql/007_generations.sql"),
    include_str!("sql/008_kept_rows.sql"),
];

/// The version from which rows of views are text.
const ROWS_ARE_TEXT: usize = 2;

/// The version from which rows are in tables of generations, and plain SQL sees them through a view.
const HAS_GENERATIONS: usize = 7;

/// The version from which rows are not deleted by hand.
const KEEPS_ROWS: usize = 8;

const MIGRATING: &str = "migrating";

/// Brings the schema up to date. Refuses it if it is foreign or of a newer Highwater.
pub(super) async fn migrate(
    writer: &mut WriteConnection,
    prefix: &Prefix,
    file: &Path,
) -> Result<()> {
    let mut transaction = writer.begin().await.map_err(classify_open(file))?;
    let version = prepare(&mut transaction, prefix, file).await?;
    check_encoding(&mut transaction).await?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        apply(&mut transaction, prefix, index + 1, migration).await?;
    }
    // In a read-only file a write transaction begins without an error; the first write fails.
    let write = prefix.sql("delete from @prefix@migrations where false");
    sqlx::query(write).execute(&mut *transaction).await.map_err(classify_open(file))?;
    transaction.commit().await.map_err(classify(MIGRATING))
}

/// Returns the id of the log.
pub(super) async fn log_id(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    file: &Path,
) -> Result<LogId> {
    let sql = prefix.sql("select id from @prefix@identity");
    let id = sqlx::query_scalar(sql).fetch_one(connection).await;
    let id: Vec<u8> = id.map_err(classify_open(file))?;
    Ok(LogId::of(&id))
}

/// Returns the version of the schema, 0 if there are no tables, and the newest version. Refuses as [`migrate`].
pub(super) async fn version(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    file: &Path,
) -> Result<(usize, usize)> {
    let version = found_version(connection, prefix, file).await?;
    check_encoding(connection).await?;
    Ok((version.unwrap_or_default(), MIGRATIONS.len()))
}

/// Returns the version of the schema; `None` if there are no tables.
async fn found_version(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    file: &Path,
) -> Result<Option<usize>> {
    let migrations = format!("{prefix}migrations");
    let events = format!("{prefix}events");
    let has_migrations = has_table(connection, &migrations, file).await?;
    match (has_migrations, has_table(connection, &events, file).await?) {
        (true, true) => read_version(connection, prefix, &migrations).await.map(Some),
        (false, false) => Ok(None),
        (true, false) => Err(foreign(&migrations, &events)),
        (false, true) => Err(foreign(&events, &migrations)),
    }
}

/// Returns the version of the schema, and creates the table of migrations.
async fn prepare(connection: &mut SqliteConnection, prefix: &Prefix, file: &Path) -> Result<usize> {
    if let Some(version) = found_version(connection, prefix, file).await? {
        return Ok(version);
    }
    let create = prefix.sql(
        "create table @prefix@migrations (version integer primary key, \
         applied_at text not null default current_timestamp)",
    );
    sqlx::query(create).execute(connection).await.map_err(classify_open(file))?;
    Ok(0)
}

async fn apply(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    version: usize,
    migration: &'static str,
) -> Result<()> {
    if version == ROWS_ARE_TEXT {
        convert_rows_to_text(connection, prefix).await?;
    }
    let applied = sqlx::raw_sql(prefix.sql(migration)).execute(&mut *connection).await;
    applied.map_err(classify_migration("something"))?;
    if version == HAS_GENERATIONS {
        rename_tables(connection, prefix).await?;
    }
    if version == KEEPS_ROWS {
        guard_tables(connection, prefix).await?;
    }
    let record = prefix.sql("insert into @prefix@migrations (version) values (?)");
    let recorded = sqlx::query(record).bind(version as i64).execute(connection).await;
    recorded.map_err(classify(MIGRATING))?;
    tracing::info!(%prefix, version, "migrated");
    Ok(())
}

/// Converts the rows of views: for SQLite, JSON is text, and a blob would be its own binary format.
async fn convert_rows_to_text(connection: &mut SqliteConnection, prefix: &Prefix) -> Result<()> {
    let tables = prefix.sql(
        "select name from sqlite_master join @prefix@checkpoints on name = '@prefix@view_' || view",
    );
    let tables = sqlx::query_scalar(tables).fetch_all(&mut *connection).await;
    let tables: Vec<String> = tables.map_err(classify_migration("something"))?;
    for table in tables {
        let sql = format!(
            "create table {prefix}rows (key text primary key, value text not null) without rowid;
             insert into {prefix}rows (key, value) select key, cast(value as text) from {table};
             drop table {table};
             alter table {prefix}rows rename to {table}"
        );
        let copied = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
        copied.map_err(classify_migration(&table))?;
    }
    Ok(())
}

/// Gives the tables of views the names of their first generations, and shows their rows to plain SQL.
async fn rename_tables(connection: &mut SqliteConnection, prefix: &Prefix) -> Result<()> {
    let views = prefix.sql(
        "select view from @prefix@views join sqlite_master \
             on type = 'table' and name = '@prefix@view_' || view",
    );
    let views = sqlx::query_scalar(views).fetch_all(&mut *connection).await;
    let views: Vec<String> = views.map_err(classify_migration("something"))?;
    for view in views {
        let table = format!("{prefix}view_{view}");
        let sql = format!(
            "alter table {table} rename to {prefix}rows_{view}; \
             create view {prefix}live_{view} as select * from {prefix}rows_{view}"
        );
        let renamed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
        renamed.map_err(classify_migration(&table))?;
    }
    Ok(())
}

/// Lets only commits delete rows of the views that there are.
async fn guard_tables(connection: &mut SqliteConnection, prefix: &Prefix) -> Result<()> {
    let views = prefix
        .sql("select view from @prefix@views join sqlite_master on name = '@prefix@rows_' || view");
    let views = sqlx::query_scalar(views).fetch_all(&mut *connection).await;
    let views: Vec<String> = views.map_err(classify_migration("something"))?;
    for view in views {
        let guarded = sqlx::raw_sql(AssertSqlSafe(guard(prefix, &view)));
        let guarded = guarded.execute(&mut *connection).await;
        guarded.map_err(classify_migration(&format!("{prefix}rows_{view}")))?;
    }
    Ok(())
}

/// Returns the statement that refuses to delete rows of a view by hand: a worker would take a key without a row for a new
/// one. The row of a parked key may be deleted: it is folded again from the log.
pub(super) fn guard(prefix: &Prefix, stored: &str) -> String {
    format!(
        "drop trigger if exists {prefix}keep_{stored};
         create trigger {prefix}keep_{stored} before delete on {prefix}rows_{stored}
         when not exists (select 1 from {prefix}deleting)
             and not exists (select 1 from {prefix}parked_keys where view = '{stored}' and key = old.key)
         begin
             select raise(abort, 'a row of view {stored} must not be deleted by hand: a worker would take its key \
                          for a new one; let the view''s worker repair the row from the log');
         end"
    )
}

async fn has_table(connection: &mut SqliteConnection, table: &str, file: &Path) -> Result<bool> {
    sqlx::query_scalar("select exists (select 1 from sqlite_master where name = ?)")
        .bind(table)
        .fetch_one(connection)
        .await
        .map_err(classify_open(file))
}

async fn read_version(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    table: &str,
) -> Result<usize> {
    let sql = prefix.sql("select coalesce(max(version), 0) from @prefix@migrations");
    let version = sqlx::query_scalar(sql).fetch_one(connection).await;
    let version: i64 = version.map_err(classify_migration(table))?;
    check_version(version, MIGRATIONS.len())
}

fn foreign(found: &str, missing: &str) -> highwater_core::Error {
    let message = format!(
        "the file has a table {found} but no {missing}: either it is not Highwater's, or a table \
         has been dropped"
    );
    Invalid::new(Code::FOREIGN_DATABASE, message).into()
}

/// Refuses a file in another encoding: pages of events are concatenated from bytes and text, which is only
/// the same in UTF-8.
async fn check_encoding(connection: &mut SqliteConnection) -> Result<()> {
    let encoding = sqlx::query_scalar("pragma encoding").fetch_one(connection).await;
    let encoding: String = encoding.map_err(classify("opening the database"))?;
    if encoding == "UTF-8" {
        return Ok(());
    }
    let message = format!("the text of the database file is in {encoding}, and must be in UTF-8");
    Err(Invalid::new(Code::BAD_DATABASE, message).into())
}
