//! Parked keys, and the events that are held back behind them (R4).

use std::{mem, sync::Arc};

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{ParkChange, ParkedKey, ViewCommit},
};
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    SqliteInner,
    error::{classify, classify_view},
    options::Prefix,
    row::{json, signed, timestamp, unsigned},
};
use crate::{rows::not_parked, sql::view_changes::ViewChange};

const PARKING: &str = "parking keys";
const READING: &str = "reading parked keys";

/// Makes the changes of a commit, in order. Events that are queued one after the other share a statement.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
    now: Timestamp,
) -> Result<()> {
    let mut parking = SqliteParking { connection, prefix, view: &commit.view, now };
    let mut queued = Vec::new();
    for change in &commit.parked {
        match change {
            ParkChange::Queue { key, position } => queued.push((key.as_str(), *position)),
            ParkChange::Park { key, since, error, attempts } => {
                parking.queue(mem::take(&mut queued)).await?;
                parking.park(key, *since, error, *attempts).await?;
            }
            ParkChange::Drain { key, through } => {
                parking.queue(mem::take(&mut queued)).await?;
                parking.drain(key, *through).await?;
            }
        }
    }
    parking.queue(queued).await
}

/// The changes of the parked keys of a view, within the transaction of a commit.
struct SqliteParking<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    view: &'a ViewName,
    now: Timestamp,
}

impl SqliteParking<'_> {
    /// Parks a key. The event for which it is parked is the first that is held back.
    async fn park(&mut self, key: &str, since: Position, error: &str, attempts: u32) -> Result<()> {
        let sql = self.prefix.sql(
            "insert into @prefix@parked_keys (view, key, since, error, attempts, parked_at, retry) \
             values (?, ?, ?, ?, ?, ?, false) on conflict (view, key) do update \
             set error = excluded.error, attempts = excluded.attempts, retry = false \
             returning since",
        );
        let since = sqlx::query_scalar(sql)
            .bind(self.view.as_str())
            .bind(key)
            .bind(signed(since.get()))
            .bind(error)
            .bind(attempts)
            .bind(self.now.as_microsecond())
            .fetch_all(&mut *self.connection)
            .await;
        let since: Vec<i64> = since.map_err(classify_view(PARKING, self.view))?;
        let since = since.into_iter().map(unsigned).collect::<Result<Vec<_>, _>>();
        let since = since.map_err(classify(PARKING))?;
        self.queue(since.into_iter().map(|since| (key, Position::new(since))).collect()).await
    }

    async fn queue(&mut self, events: Vec<(&str, Position)>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let events = json(&events).map_err(classify(PARKING))?;
        let unparked = self.prefix.sql(
            "select e.value ->> 0 from json_each(?2) e where not exists \
                 (select 1 from @prefix@parked_keys where view = ?1 and key = e.value ->> 0)",
        );
        let unparked = sqlx::query_scalar(unparked).bind(self.view.as_str()).bind(&events);
        let unparked: Vec<String> =
            unparked.fetch_all(&mut *self.connection).await.map_err(classify(PARKING))?;
        if let Some(key) = unparked.first() {
            return Err(not_parked(self.view, key).into());
        }
        let insert = self.prefix.sql(
            "insert into @prefix@parked_events (view, key, position) \
             select ?1, e.value ->> 0, e.value ->> 1 from json_each(?2) e \
             where true on conflict do nothing",
        );
        let insert = sqlx::query(insert).bind(self.view.as_str()).bind(events);
        let queued = insert.execute(&mut *self.connection).await;
        queued.map(drop).map_err(classify_view(PARKING, self.view))
    }

    /// Removes the events up to `through`, and the key if no event is left.
    async fn drain(&mut self, key: &str, through: Position) -> Result<()> {
        for sql in [
            "delete from @prefix@parked_events where view = ?1 and key = ?2 and position <= ?3",
            "delete from @prefix@parked_keys where view = ?1 and key = ?2 and not exists \
                 (select 1 from @prefix@parked_events where view = ?1 and key = ?2)",
            "update @prefix@parked_keys set since = \
                 (select min(position) from @prefix@parked_events where view = ?1 and key = ?2) \
             where view = ?1 and key = ?2",
        ] {
            sqlx::query(self.prefix.sql(sql))
                .bind(self.view.as_str())
                .bind(key)
                .bind(signed(through.get()))
                .execute(&mut *self.connection)
                .await
                .map_err(classify(PARKING))?;
        }
        Ok(())
    }
}

pub(super) async fn page(
    inner: Arc<SqliteInner>,
    view: ViewName,
    after: Option<String>,
    limit: usize,
) -> Result<Vec<ParkedKey>> {
    let sql = inner.prefix.sql(
        "select k.key, k.since, k.error, k.attempts, k.parked_at, k.retry, \
             (select count(*) from @prefix@parked_events e where e.view = k.view and e.key = k.key) \
         from @prefix@parked_keys k where k.view = ?1 and (?2 is null or k.key > ?2) \
         order by k.key limit ?3",
    );
    let query = sqlx::query(sql).bind(view.as_str()).bind(after).bind(signed(limit as u64));
    let rows = inner.readers.fetch_all(query).await;
    rows.and_then(|rows| rows.iter().map(decode).collect()).map_err(classify(READING))
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
    inner: Arc<SqliteInner>,
    view: ViewName,
    key: String,
    after: Position,
    limit: usize,
) -> Result<Vec<Position>> {
    let sql = inner.prefix.sql(
        "select position from @prefix@parked_events where view = ? and key = ? and position > ? \
         order by position limit ?",
    );
    let query = sqlx::query(sql)
        .bind(view.as_str())
        .bind(key)
        .bind(signed(after.get()))
        .bind(signed(limit as u64));
    let rows = inner.readers.fetch_all(query).await.map_err(classify(READING))?;
    let position = |row: &SqliteRow| row.try_get(0).and_then(unsigned).map(Position::new);
    rows.iter().map(position).collect::<Result<_, _>>().map_err(classify(READING))
}

pub(super) async fn retry(inner: Arc<SqliteInner>, view: ViewName, key: String) -> Result<bool> {
    let sql =
        inner.prefix.sql("update @prefix@parked_keys set retry = true where view = ? and key = ?");
    let mut connection = inner.writer().await?;
    let retried = sqlx::query(sql).bind(view.as_str()).bind(key);
    let retried = retried.execute(&mut **connection).await.map_err(classify(PARKING))?;
    let is_parked = retried.rows_affected() == 1;
    if is_parked {
        inner.follower.changed(&ViewChange::Other(view));
    }
    Ok(is_parked)
}
