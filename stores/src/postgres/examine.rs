//! Looks at the database without changing it: settings, rights, workers.

use highwater_core::{Code, Result};
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgRow};

use super::{
    PostgresOptions,
    error::{classify, classify_connect},
    migrate,
    options::Schema,
    row::unsigned,
    session::bounded,
};
use crate::examine::{Examination, StoreFinding, ViewWorkers};

const EXAMINING: &str = "examining the database";

/// The settings of the session that matter.
const SETTINGS: &str = "\
select name, setting from pg_settings \
where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'server_encoding', \
               'statement_timeout', 'lock_timeout', 'transaction_timeout') order by name";

/// The rights that the user lacks. Events, their tags, commands and snapshots are not deleted; migrations and the identity
/// are only read.
const MISSING_RIGHTS: &str = "\
select p.privilege || ' on the schema' from unnest(array['usage', 'create']) p(privilege) \
where not has_schema_privilege($1, p.privilege) \
union all \
select p.privilege || ' on ' || c.relname \
from pg_class c, unnest(array['select', 'insert', 'update', 'delete']) p(privilege) \
where c.relnamespace = $1::regnamespace and c.relkind = 'r' \
    and not has_table_privilege(c.oid, p.privilege) \
    and not (c.relname in ('migrations', 'identity') and p.privilege <> 'select') \
    and not (c.relname in ('events', 'event_tags', 'commands', 'snapshots') and p.privilege = 'delete') \
    and not (c.relname in ('event_tags', 'commands') and p.privilege = 'update') \
union all \
select 'execute on ' || f.proname from pg_proc f \
where f.pronamespace = $1::regnamespace and not has_function_privilege(f.oid, 'execute') \
order by 1";

const WORKERS: &str = "\
select s.view, \
    (select count(*) from @schema@.workers w where w.view = s.view and w.alive_until > now()), \
    coalesce(array_agg(s.shard order by s.shard) \
        filter (where s.owner is not null and s.lease_until <= now()), '{}') \
from @schema@.shards s group by s.view order by s.view";

/// Looks at the database through a connection of its own.
pub(crate) async fn examine(options: &PostgresOptions) -> Result<Examination> {
    let limit = options.answer_timeout;
    let mut connection = options.connection().await?;
    let examination = bounded(limit, EXAMINING, look(&mut connection, options)).await?;
    // There is nothing left that a failure could change.
    let _ = connection.close().await;
    Ok(examination)
}

async fn look(connection: &mut PgConnection, options: &PostgresOptions) -> Result<Examination> {
    let missing = missing_rights(connection, options).await?;
    if missing.iter().any(|right| right == "usage on the schema") {
        // Nothing else can be read.
        let mut examination = Examination::of_schema(0, 0);
        examination.findings.push(lacks_rights(options, &missing));
        return Ok(examination);
    }
    let (schema, known) = migrate::version(connection, options).await?;
    let mut examination = Examination::of_schema(schema, known);
    examination.findings.extend(settings(connection).await?);
    if !missing.is_empty() {
        examination.findings.push(lacks_rights(options, &missing));
    } else if examination.is_current() {
        examination.workers = workers(connection, &options.schema).await?;
    }
    Ok(examination)
}

async fn missing_rights(
    connection: &mut PgConnection,
    options: &PostgresOptions,
) -> Result<Vec<String>> {
    let schema = options.schema.as_str();
    let exists = sqlx::query_scalar("select exists (select from pg_namespace where nspname = $1)");
    let exists = exists.bind(schema).fetch_one(&mut *connection).await;
    if !exists.map_err(classify_connect(&options.connect))? {
        return Ok(Vec::new());
    }
    let missing = sqlx::query_scalar(MISSING_RIGHTS).bind(schema).fetch_all(connection).await;
    missing.map_err(classify(EXAMINING))
}

fn lacks_rights(options: &PostgresOptions, missing: &[String]) -> StoreFinding {
    let user = options.connect.get_username();
    let schema = options.schema.as_str();
    let missing = missing.join(", ");
    let message = format!("the user {user:?} lacks rights in the schema {schema}: {missing}");
    let to_do = "grant them to the user, or connect as the one who created the schema";
    StoreFinding::error(message, to_do).with_code(Code::BAD_DATABASE)
}

async fn settings(connection: &mut PgConnection) -> Result<Vec<StoreFinding>> {
    let rows = sqlx::raw_sql(SETTINGS).fetch_all(connection).await.map_err(classify(EXAMINING))?;
    let finding =
        |row: &PgRow| -> sqlx::Result<_> { Ok(of_setting(row.try_get(0)?, row.try_get(1)?)) };
    let findings: sqlx::Result<Vec<_>> = rows.iter().map(finding).collect();
    Ok(findings.map_err(classify(EXAMINING))?.into_iter().flatten().collect())
}

/// Judges a setting as the session sees it: it may be that of the server, of the database or of the user.
fn of_setting(name: &str, setting: &str) -> Option<StoreFinding> {
    match (name, setting) {
        ("fsync" | "full_page_writes", "off") => {
            let message = format!(
                "{name} is off: when the machine of the server fails, acknowledged events are lost or the whole \
                 database is damaged"
            );
            Some(StoreFinding::error(message, format!("set {name} to on, and reload the server")))
        }
        ("synchronous_commit", "off") => {
            let message = "synchronous_commit is off: appends are flushed nevertheless, but commits of views are not, so \
                           readers may see rows that are older again after a crash of the server";
            let to_do = "set synchronous_commit to on for the user of the store";
            Some(StoreFinding::warning(message, to_do))
        }
        ("server_encoding", encoding) if encoding != "UTF8" => {
            let message = format!(
                "the text of the database is in {encoding}: events with other characters can't be stored"
            );
            let to_do = "move the store into a database that is created with encoding 'UTF8'";
            Some(StoreFinding::error(message, to_do).with_code(Code::BAD_DATABASE))
        }
        ("statement_timeout" | "lock_timeout" | "transaction_timeout", limit) if limit != "0" => {
            let message = format!(
                "{name} is {limit} ms: migrations, and views whose table gets an index, may never end"
            );
            Some(StoreFinding::warning(
                message,
                format!("set {name} to 0 for the user of the store"),
            ))
        }
        _ => None,
    }
}

async fn workers(connection: &mut PgConnection, schema: &Schema) -> Result<Vec<ViewWorkers>> {
    let rows = sqlx::query(schema.sql(WORKERS)).fetch_all(connection).await;
    let workers = rows.and_then(|rows| rows.iter().map(workers_of).collect());
    workers.map_err(classify(EXAMINING))
}

fn workers_of(row: &PgRow) -> sqlx::Result<ViewWorkers> {
    let expired: Vec<i32> = row.try_get(2)?;
    let expired = expired.into_iter().map(i32::cast_unsigned).collect();
    Ok(ViewWorkers { view: row.try_get(0)?, alive: unsigned(row.try_get(1)?)?, expired })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examine::Severity;

    #[test]
    fn each_setting_that_endangers_data_is_found_and_no_other() {
        for (name, bad, severity) in [
            ("fsync", "off", Severity::Error),
            ("full_page_writes", "off", Severity::Error),
            ("synchronous_commit", "off", Severity::Warning),
            ("server_encoding", "LATIN1", Severity::Error),
            ("statement_timeout", "5000", Severity::Warning),
            ("lock_timeout", "5000", Severity::Warning),
            ("transaction_timeout", "5000", Severity::Warning),
        ] {
            let finding = of_setting(name, bad).unwrap();
            assert_eq!(finding.severity, severity, "{name}");
            let said = format!("{} {}", finding.message, finding.to_do);
            assert!(said.contains(bad), "{said}");
        }
        for (name, good) in [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("synchronous_commit", "local"),
            ("server_encoding", "UTF8"),
            ("statement_timeout", "0"),
        ] {
            assert_eq!(of_setting(name, good), None, "{name}");
        }
    }
}
