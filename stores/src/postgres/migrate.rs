//! The schema, versioned. Safe to run from several processes at once.

use highwater_core::{
    Code, LogId, Result,
    error::{Invalid, Source, Unavailable},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    PostgresOptions,
    error::{classify, door, migrating},
    options::Schema,
};

/// Every migration, in order; the version is the place in this list, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("sql/001_tables.sql"),
    include_str!("sql/002_append.sql"),
    include_str!("sql/003_append_all.sql"),
    include_str!("sql/004_views.sql"),
    include_str!("sql/005_identity.sql"),
    include_str!("sql/006_layout.sql"),
];

/// Brings the schema up to date, or refuses it if it is foreign, if a newer Highwater has been there,
/// or if the server is none that Highwater can work with.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    options: &PostgresOptions,
) -> Result<()> {
    let found = look(connection, &options.schema).await.map_err(door(&options.connect))?;
    found.judge_server()?;
    if found.version(connection, &options.schema).await? == MIGRATIONS.len() {
        return Ok(());
    }
    found.judge_writing()?;
    let mut transaction = connection.begin().await.map_err(classify("migrating"))?;
    let done = prepare(&mut transaction, options).await?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        apply(&mut transaction, &options.schema, index + 1, migration).await?;
    }
    transaction.commit().await.map_err(classify("migrating"))
}

/// Which log it is.
pub(super) async fn identity(connection: &mut PgConnection, schema: &Schema) -> Result<LogId> {
    let sql = format!("select id from {}.identity", schema.as_str());
    let id = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await;
    let id: Uuid = id.map_err(migrating)?;
    Ok(LogId::of(id.as_bytes()))
}

/// Waits for other processes that migrate, and says what they have done. A schema that is there
/// needs no right to make one.
async fn prepare(connection: &mut PgConnection, options: &PostgresOptions) -> Result<usize> {
    let (name, door) = (options.schema.as_str(), || door(&options.connect));
    let lock =
        format!("select pg_advisory_xact_lock(hashtextextended('highwater migrations {name}', 0))");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *connection).await.map_err(door())?;
    let found = look(connection, &options.schema).await.map_err(door())?;
    let create = if found.schema { String::new() } else { format!("create schema {name};") };
    let prepare = format!(
        "{create} create table if not exists {name}.migrations ( \
             version integer primary key, applied_at timestamptz not null default now())"
    );
    let done = found.version(connection, &options.schema).await?;
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(connection).await.map_err(door())?;
    Ok(done)
}

async fn apply(
    connection: &mut PgConnection,
    schema: &Schema,
    version: usize,
    migration: &str,
) -> Result<()> {
    let name = schema.as_str();
    let sql = format!(
        "{}; insert into {name}.migrations (version) values ({version});",
        schema.fill(migration).trim_end().trim_end_matches(';')
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(migrating)?;
    tracing::info!(schema = name, version, "migrated");
    Ok(())
}

/// What is found at the door.
struct Found {
    server: i32,
    isolation: String,
    read_only: bool,
    schema: bool,
    migrations: bool,
    events: bool,
}

/// Reads the catalogue itself: functions such as `to_regclass` may answer from a cache that has not
/// heard yet what another process has committed.
async fn look(connection: &mut PgConnection, schema: &Schema) -> Result<Found, sqlx::Error> {
    let sql = "select current_setting('server_version_num')::integer, \
                      current_setting('default_transaction_isolation'), \
                      current_setting('transaction_read_only') = 'on', \
                      exists (select from pg_namespace where nspname = $1), \
                      exists (select from pg_tables \
                              where schemaname = $1 and tablename = 'migrations'), \
                      exists (select from pg_tables \
                              where schemaname = $1 and tablename = 'events')";
    let row: PgRow = sqlx::query(sql).bind(schema.as_str()).fetch_one(connection).await?;
    Ok(Found {
        server: row.try_get(0)?,
        isolation: row.try_get(1)?,
        read_only: row.try_get(2)?,
        schema: row.try_get(3)?,
        migrations: row.try_get(4)?,
        events: row.try_get(5)?,
    })
}

/// The oldest server that has all that the statements use.
const OLDEST_SERVER: i32 = 15;

impl Found {
    fn judge_server(&self) -> Result<()> {
        let major = self.server / 10_000;
        let wrong = if major < OLDEST_SERVER {
            format!("the server is PostgreSQL {major}; Highwater needs {OLDEST_SERVER} or newer")
        } else if self.isolation != "read committed" {
            // Under a lock, an append must see what was committed while it waited (W3).
            format!(
                "default_transaction_isolation is {:?} for this user; Highwater needs \
                 \"read committed\"",
                self.isolation
            )
        } else {
            return Ok(());
        };
        Err(Invalid::new(Code::BAD_DATABASE, wrong).into())
    }

    /// A server that only reads may become one that writes, or another may take its place.
    fn judge_writing(&self) -> Result<()> {
        if !self.read_only {
            return Ok(());
        }
        let why = "the server is read-only: a standby, or default_transaction_read_only is on";
        Err(Unavailable::unreachable("migrating", Source::new(why)).into())
    }

    /// How many migrations have been applied.
    async fn version(&self, connection: &mut PgConnection, schema: &Schema) -> Result<usize> {
        let name = schema.as_str();
        let (there, missing) = match (self.migrations, self.events) {
            (true, true) => {
                let sql =
                    format!("select coalesce(max(version), 0)::bigint from {name}.migrations");
                let version = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await;
                let version: i64 = version.map_err(migrating)?;
                return known(usize::try_from(version).unwrap_or(usize::MAX));
            }
            (false, false) => return Ok(0),
            (true, false) => ("migrations", "events"),
            (false, true) => ("events", "migrations"),
        };
        let message = format!(
            "the schema {name} has a table {there} but no {missing}: either it is not Highwater's, \
             or a table has been dropped"
        );
        Err(Invalid::new(Code::FOREIGN_DATABASE, message).into())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(server: i32) -> Found {
        let isolation = "read committed".to_owned();
        Found { server, isolation, read_only: false, schema: true, migrations: true, events: true }
    }

    #[test]
    fn a_server_older_than_15_is_refused_by_its_version() {
        let error = found(140_012).judge_server().unwrap_err();
        assert_eq!(error.code(), Code::BAD_DATABASE);
        assert!(error.to_string().contains("PostgreSQL 14"), "{error}");
        found(150_000).judge_server().unwrap();
        found(170_002).judge_server().unwrap();
    }
}
