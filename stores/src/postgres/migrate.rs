//! Migrations of the schema. They are safe to run from several processes at once.

use highwater_core::{Code, LogId, Result, error::Invalid};
use sqlx::{Connection, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    PostgresOptions,
    error::{classify, classify_connect, classify_migration},
    options::Schema,
    session::BEGIN,
};
use crate::sql::schema_version::check_version;

/// All migrations, in order. The version of a migration is its index in this list, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("sql/001_tables.sql"),
    include_str!("sql/002_append.sql"),
    include_str!("sql/003_append_all.sql"),
    include_str!("sql/004_views.sql"),
    include_str!("sql/005_identity.sql"),
    include_str!("sql/006_layout.sql"),
    include_str!("sql/007_order_lock.sql"),
    include_str!("sql/008_stopped.sql"),
    include_str!("sql/009_definition.sql"),
    include_str!("sql/010_generations.sql"),
    include_str!("sql/011_kept_rows.sql"),
    include_str!("sql/012_condition.sql"),
];

/// Returns true if the schema is up to date. Refuses it if it is foreign or of a newer Highwater, or if the
/// server is not supported.
pub(super) async fn is_current(
    connection: &mut PgConnection,
    options: &PostgresOptions,
) -> Result<bool> {
    let (version, newest) = version(connection, options).await?;
    Ok(version == newest)
}

/// Returns the version of the schema, 0 if there are no tables, and the newest version. Refuses as [`is_current`].
pub(super) async fn version(
    connection: &mut PgConnection,
    options: &PostgresOptions,
) -> Result<(usize, usize)> {
    let database =
        inspect(connection, &options.schema).await.map_err(classify_connect(&options.connect))?;
    database.check_server()?;
    Ok((database.version(connection, &options.schema).await?, MIGRATIONS.len()))
}

/// Brings the schema up to date.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    options: &PostgresOptions,
) -> Result<()> {
    let mut transaction = connection.begin_with(BEGIN).await.map_err(classify("migrating"))?;
    let version = prepare(&mut transaction, options).await?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        apply(&mut transaction, &options.schema, index + 1, migration).await?;
    }
    transaction.commit().await.map_err(classify("migrating"))
}

/// Returns the id of the log.
pub(super) async fn log_id(connection: &mut PgConnection, schema: &Schema) -> Result<LogId> {
    let id = sqlx::query_scalar(schema.sql("select id from @schema@.identity"))
        .fetch_one(connection)
        .await;
    let id: Uuid = id.map_err(classify_migration)?;
    Ok(LogId::of(id.as_bytes()))
}

/// Waits for other processes that migrate, and returns the version of the schema. A schema that exists
/// needs no privilege to create one.
async fn prepare(connection: &mut PgConnection, options: &PostgresOptions) -> Result<usize> {
    let PostgresOptions { schema, connect, .. } = options;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("highwater migrations {}", schema.as_str()))
        .execute(&mut *connection)
        .await
        .map_err(classify_connect(connect))?;
    let database = inspect(connection, schema).await.map_err(classify_connect(connect))?;
    let version = database.version(connection, schema).await?;
    let create = "create table if not exists @schema@.migrations ( \
                      version integer primary key, applied_at timestamptz not null default now())";
    for (is_missing, sql) in [(!database.schema, "create schema @schema@"), (true, create)] {
        if is_missing {
            let created = sqlx::raw_sql(schema.sql(sql)).execute(&mut *connection).await;
            created.map_err(classify_connect(connect))?;
        }
    }
    Ok(version)
}

async fn apply(
    connection: &mut PgConnection,
    schema: &Schema,
    version: usize,
    migration: &'static str,
) -> Result<()> {
    let applied = sqlx::raw_sql(schema.sql(migration)).execute(&mut *connection).await;
    applied.map_err(classify_migration)?;
    let record = schema.sql("insert into @schema@.migrations (version) values ($1)");
    let recorded = sqlx::query(record).bind(version as i32).execute(connection).await;
    recorded.map_err(classify_migration)?;
    tracing::info!(schema = schema.as_str(), version, "migrated");
    Ok(())
}

/// The state of the server and the schema before a migration.
struct DatabaseState {
    server: i32,
    isolation: String,
    schema: bool,
    migrations: bool,
    events: bool,
}

/// Reads the catalogue itself: functions such as `to_regclass` may answer from a cache that lacks the last
/// commits of other processes.
async fn inspect(
    connection: &mut PgConnection,
    schema: &Schema,
) -> Result<DatabaseState, sqlx::Error> {
    let sql = "select current_setting('server_version_num')::integer, \
                      current_setting('default_transaction_isolation'), \
                      exists (select from pg_namespace where nspname = $1), \
                      exists (select from pg_tables \
                              where schemaname = $1 and tablename = 'migrations'), \
                      exists (select from pg_tables \
                              where schemaname = $1 and tablename = 'events')";
    let row: PgRow = sqlx::query(sql).bind(schema.as_str()).fetch_one(connection).await?;
    Ok(DatabaseState {
        server: row.try_get(0)?,
        isolation: row.try_get(1)?,
        schema: row.try_get(2)?,
        migrations: row.try_get(3)?,
        events: row.try_get(4)?,
    })
}

/// The oldest server that supports all statements.
const OLDEST_SERVER: i32 = 15;

impl DatabaseState {
    fn check_server(&self) -> Result<()> {
        let major = self.server / 10_000;
        let problem = if major < OLDEST_SERVER {
            format!("the server is PostgreSQL {major}; Highwater needs {OLDEST_SERVER} or newer")
        } else if self.isolation != "read committed" {
            // After waiting for a lock, an append must see what was committed meanwhile (W3).
            format!(
                "default_transaction_isolation is {:?} for this user; Highwater needs \
                 \"read committed\"",
                self.isolation
            )
        } else {
            return Ok(());
        };
        Err(Invalid::new(Code::BAD_DATABASE, problem).into())
    }

    /// Returns the version of the schema.
    async fn version(&self, connection: &mut PgConnection, schema: &Schema) -> Result<usize> {
        let name = schema.as_str();
        let (found, missing) = match (self.migrations, self.events) {
            (true, true) => {
                let sql =
                    schema.sql("select coalesce(max(version), 0)::bigint from @schema@.migrations");
                let version = sqlx::query_scalar(sql).fetch_one(connection).await;
                let version: i64 = version.map_err(classify_migration)?;
                return check_version(version, MIGRATIONS.len());
            }
            (false, false) => return Ok(0),
            (true, false) => ("migrations", "events"),
            (false, true) => ("events", "migrations"),
        };
        let message = format!(
            "the schema {name} has a table {found} but no {missing}: either it is not Highwater's, \
             or a table has been dropped"
        );
        Err(Invalid::new(Code::FOREIGN_DATABASE, message).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(server: i32) -> DatabaseState {
        let isolation = "read committed".to_owned();
        DatabaseState { server, isolation, schema: true, migrations: true, events: true }
    }

    #[test]
    fn a_server_older_than_15_is_refused_by_its_version() {
        let error = found(140_012).check_server().unwrap_err();
        assert_eq!(error.code(), Code::BAD_DATABASE);
        assert!(error.to_string().contains("PostgreSQL 14"), "{error}");
        found(150_000).check_server().unwrap();
        found(170_002).check_server().unwrap();
    }
}
