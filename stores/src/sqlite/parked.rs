//! Parked keys, and the events that wait behind them (R4).

use std::sync::Arc;

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{ParkChange, ParkedKey, ViewCommit},
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    Inner,
    commit::json,
    error::{classify, refusing},
    options::Prefix,
    row::{signed, timestamp, unsigned},
};
use crate::{hints::Hint, rows::not_parked};

const PARKING: &str = "parking keys";
const PARKED: &str = "looking at parked keys";

/// Makes the changes of a commit, in order; what is queued one after the other, in one statement.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
    now: Timestamp,
) -> Result<()> {
    let mut parking = Parking { connection, prefix, view: &commit.view, now };
    let mut queued = Vec::new();
    for change in &commit.parked {
        match change {
            ParkChange::Queue { key, position } => queued.push((key.as_str(), *position)),
            ParkChange::Park { key, since, error, attempts } => {
                parking.queue(std::mem::take(&mut queued)).await?;
                parking.park(key, *since, error, *attempts).await?;
            }
            ParkChange::Drain { key, through } => {
                parking.queue(std::mem::take(&mut queued)).await?;
                parking.drain(key, *through).await?;
            }
        }
    }
    parking.queue(queued).await
}

/// A view whose keys are parked, within the transaction of a commit.
struct Parking<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    view: &'a ViewName,
    now: Timestamp,
}

impl Parking<'_> {
    /// The event for which a key is parked is the first that waits.
    async fn park(&mut self, key: &str, since: Position, error: &str, attempts: u32) -> Result<()> {
        let sql = format!(
            "insert into {}parked_keys (view, key, since, error, attempts, parked_at, retry) \
             values (?, ?, ?, ?, ?, ?, false) on conflict (view, key) do update \
             set error = excluded.error, attempts = excluded.attempts, retry = false \
             returning since",
            self.prefix
        );
        let since = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(self.view.as_str())
            .bind(key)
            .bind(signed(since.get()))
            .bind(error)
            .bind(attempts)
            .bind(self.now.as_microsecond())
            .fetch_all(&mut *self.connection)
            .await;
        let since: Vec<i64> = since.map_err(refusing(PARKING, self.view))?;
        let since = since.into_iter().map(unsigned).collect::<Result<Vec<_>, _>>();
        let since = since.map_err(classify(PARKING))?;
        self.queue(since.into_iter().map(|since| (key, Position::new(since))).collect()).await
    }

    async fn queue(&mut self, events: Vec<(&str, Position)>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let (prefix, view) = (self.prefix, self.view);
        let json = json(&events).map_err(classify(PARKING))?;
        let stray = format!(
            "select e.value ->> 0 from json_each(?) e where not exists \
                 (select 1 from {prefix}parked_keys where view = '{view}' and key = e.value ->> 0)"
        );
        let stray = sqlx::query_scalar(AssertSqlSafe(stray)).bind(&json);
        let stray: Vec<String> =
            stray.fetch_all(&mut *self.connection).await.map_err(classify(PARKING))?;
        if let Some(key) = stray.first() {
            return Err(not_parked(view, key).into());
        }
        let sql = format!(
            "insert into {prefix}parked_events (view, key, position) \
             select '{view}', e.value ->> 0, e.value ->> 1 from json_each(?) e \
             where true on conflict do nothing"
        );
        let queued =
            sqlx::query(AssertSqlSafe(sql)).bind(json).execute(&mut *self.connection).await;
        queued.map(drop).map_err(refusing(PARKING, view))
    }

    async fn drain(&mut self, key: &str, through: Position) -> Result<()> {
        let (prefix, view) = (self.prefix, self.view);
        let drained = format!(
            "delete from {prefix}parked_events where view = '{view}' and key = ? and position <= ?"
        );
        sqlx::query(AssertSqlSafe(drained))
            .bind(key)
            .bind(signed(through.get()))
            .execute(&mut *self.connection)
            .await
            .map_err(classify(PARKING))?;
        let first = format!(
            "select min(position) from {prefix}parked_events where view = '{view}' and key = ?1"
        );
        for sql in [
            format!(
                "delete from {prefix}parked_keys where view = '{view}' and key = ?1 \
                     and ({first}) is null"
            ),
            format!(
                "update {prefix}parked_keys set since = ({first}) \
                 where view = '{view}' and key = ?1"
            ),
        ] {
            let changed =
                sqlx::query(AssertSqlSafe(sql)).bind(key).execute(&mut *self.connection).await;
            changed.map_err(classify(PARKING))?;
        }
        Ok(())
    }
}

pub(super) async fn page(
    inner: Arc<Inner>,
    view: ViewName,
    after: Option<String>,
    limit: usize,
) -> Result<Vec<ParkedKey>> {
    let prefix = &inner.prefix;
    let sql = format!(
        "select k.key, k.since, k.error, k.attempts, k.parked_at, k.retry, \
             (select count(*) from {prefix}parked_events e where e.view = k.view and e.key = k.key) \
         from {prefix}parked_keys k where k.view = ?1 and (?2 is null or k.key > ?2) \
         order by k.key limit ?3"
    );
    let query =
        sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(after).bind(signed(limit as u64));
    let rows = inner.readers.fetch_all(query).await;
    rows.and_then(|rows| rows.iter().map(decode).collect()).map_err(classify(PARKED))
}

fn decode(row: &SqliteRow) -> Result<ParkedKey, sqlx::Error> {
    Ok(ParkedKey {
        key: row.try_get(0)?,
        since: Position::new(unsigned(row.try_get(1)?)?),
        error: row.try_get(2)?,
        attempts: row.try_get(3)?,
        parked_at: timestamp(row.try_get(4)?)?,
        retry: row.try_get(5)?,
        queued: unsigned(row.try_get(6)?)?,
    })
}

pub(super) async fn queued(
    inner: Arc<Inner>,
    view: ViewName,
    key: String,
    after: Position,
    limit: usize,
) -> Result<Vec<Position>> {
    let sql = format!(
        "select position from {}parked_events where view = ? and key = ? and position > ? \
         order by position limit ?",
        inner.prefix
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(key)
        .bind(signed(after.get()))
        .bind(signed(limit as u64));
    let rows = inner.readers.fetch_all(query).await.map_err(classify(PARKED))?;
    let position = |row: &SqliteRow| row.try_get(0).and_then(unsigned).map(Position::new);
    rows.iter().map(position).collect::<Result<_, _>>().map_err(classify(PARKED))
}

pub(super) async fn retry(inner: Arc<Inner>, view: ViewName, key: String) -> Result<bool> {
    let sql =
        format!("update {}parked_keys set retry = true where view = ? and key = ?", inner.prefix);
    let mut connection = inner.writing().await?;
    let asked = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(key);
    let asked = asked.execute(&mut **connection).await.map_err(classify(PARKED))?;
    let is_parked = asked.rows_affected() == 1;
    if is_parked {
        inner.following.changed(&Hint::Other(view));
    }
    Ok(is_parked)
}
