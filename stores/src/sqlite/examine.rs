//! Looks at the file without changing it: its pages, its journal, workers.

use highwater_core::{Code, Result};
use sqlx::{
    ConnectOptions as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use super::{
    SqliteOptions,
    error::{classify, classify_open},
    migrate,
    options::Prefix,
    row::unsigned,
};
use crate::{
    examine::{Examination, StoreFinding, ViewWorkers},
    system::SystemClock,
};

const EXAMINING: &str = "examining the database";

const WORKERS: &str = "\
select s.view, \
    (select count(*) from @prefix@workers w where w.view = s.view and w.alive_until > ?1), \
    json_group_array(s.shard) filter (where s.owner is not null and s.lease_until <= ?1) \
from @prefix@shards s group by s.view order by s.view";

/// Looks at the file through connections that only read.
pub(crate) async fn examine(options: &SqliteOptions) -> Result<Examination> {
    let file = options.connect.get_filename();
    // The options of the store would change the journal of the file.
    let plain = SqliteConnectOptions::new().filename(file).read_only(true);
    let plain = plain.busy_timeout(options.busy_timeout);
    let mut connection = plain.connect().await.map_err(classify_open(file))?;
    let (schema, known) = migrate::version(&mut connection, &options.prefix, file).await?;
    let mut examination = Examination::of_schema(schema, known);
    examination.findings.extend(damage(&mut connection).await?);
    examination.findings.extend(journal(&mut connection, options).await?);
    if examination.is_current() {
        examination.workers = workers(&mut connection, &options.prefix).await?;
    }
    Ok(examination)
}

/// Checks the pages of the file, but not each index against its table.
async fn damage(connection: &mut SqliteConnection) -> Result<Option<StoreFinding>> {
    let problems = sqlx::query_scalar("pragma quick_check(5)").fetch_all(connection).await;
    let problems: Vec<String> = match problems {
        Ok(problems) => problems,
        // So damaged that even the check ends.
        Err(error) => vec![error.to_string()],
    };
    if problems == ["ok"] {
        return Ok(None);
    }
    let message = format!("the database file is damaged: {}", problems.join("; "));
    let to_do = "stop all programs, keep a copy of the file, and restore a backup";
    Ok(Some(StoreFinding::error(message, to_do).with_code(Code::UNDECODABLE)))
}

/// Checks that commits are flushed.
async fn journal(
    connection: &mut SqliteConnection,
    options: &SqliteOptions,
) -> Result<Option<StoreFinding>> {
    let mode = sqlx::query_scalar("pragma journal_mode").fetch_one(connection).await;
    let mode: String = mode.map_err(classify(EXAMINING))?;
    if mode != "wal" {
        let message = format!(
            "the journal of the file is {mode}, and not WAL: another program has changed it"
        );
        let to_do = "open the store with a program of Highwater, which sets it to WAL, and find the other program";
        return Ok(Some(StoreFinding::warning(message, to_do)));
    }
    let file = options.connect.get_filename();
    let as_store = options.connect.clone().read_only(true).create_if_missing(false);
    let mut as_store = as_store.connect().await.map_err(classify_open(file))?;
    let level = sqlx::query_scalar("pragma synchronous").fetch_one(&mut as_store).await;
    let level: i64 = level.map_err(classify(EXAMINING))?;
    if level >= FULL {
        return Ok(None);
    }
    let message = "the URL of the store sets synchronous below full: acknowledged events may be lost when the machine fails";
    let to_do = "leave the parameter synchronous out of the URLs of all programs";
    Ok(Some(StoreFinding::error(message, to_do)))
}

/// The level of `synchronous` from which on commits are flushed.
const FULL: i64 = 2;

async fn workers(connection: &mut SqliteConnection, prefix: &Prefix) -> Result<Vec<ViewWorkers>> {
    let now = highwater_core::port::Clock::now(&SystemClock).as_microsecond();
    let rows = sqlx::query(prefix.sql(WORKERS)).bind(now).fetch_all(connection).await;
    let workers = rows.and_then(|rows| rows.iter().map(workers_of).collect());
    workers.map_err(classify(EXAMINING))
}

fn workers_of(row: &SqliteRow) -> sqlx::Result<ViewWorkers> {
    let expired = serde_json::from_str(row.try_get(2)?);
    let expired = expired.map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(ViewWorkers { view: row.try_get(0)?, alive: unsigned(row.try_get(1)?)?, expired })
}
