//! Parked keys, and the events that are held back behind them (R4).

use std::{mem, sync::Arc};

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{ParkChange, ParkedKey, ViewCommit},
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    PostgresInner,
    error::{classify, classify_view, is_missing_reference},
    options::Schema,
    row::{PgTimestamp, signed, unsigned},
};
use crate::{rows::not_parked, sql::view_changes::ViewChange};

const PARKING: &str = "parking keys";
const READING: &str = "reading parked keys";

/// Makes the changes of a commit, in order. Events that are queued one after the other share a statement.
pub(super) async fn change(
    connection: &mut PgConnection,
    schema: &Schema,
    commit: &ViewCommit,
) -> Result<()> {
    let mut parking = PostgresParking { connection, schema, view: &commit.view };
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
struct PostgresParking<'a> {
    connection: &'a mut PgConnection,
    schema: &'a Schema,
    view: &'a ViewName,
}

/// The event for which a key is parked is the first that is held back.
const PARK: &str = "\
with parked as (
    insert into @schema@.parked_keys as k (view, key, since, error, attempts, parked_at, retry)
    values ($1, $2, $3, $4, $5, clock_timestamp(), false)
    on conflict (view, key) do update
    set error = excluded.error, attempts = excluded.attempts, retry = false
    returning k.since
)
insert into @schema@.parked_events (view, key, position)
select $1, $2, since from parked on conflict do nothing";

const DRAIN: &str = "\
with drained as (
    delete from @schema@.parked_events where view = $1 and key = $2 and position <= $3
), first as (
    select min(position) as since from @schema@.parked_events
    where view = $1 and key = $2 and position > $3
), freed as (
    delete from @schema@.parked_keys
    where view = $1 and key = $2 and (select since from first) is null
)
update @schema@.parked_keys set since = (select since from first)
where view = $1 and key = $2 and (select since from first) is not null";

impl PostgresParking<'_> {
    async fn park(&mut self, key: &str, since: Position, error: &str, attempts: u32) -> Result<()> {
        let parked = sqlx::query(self.schema.sql(PARK))
            .bind(self.view.as_str())
            .bind(key)
            .bind(signed(since.get()))
            // The message may have a NUL, which PostgreSQL's text can't hold.
            .bind(error.replace('\0', "\u{fffd}"))
            .bind(i64::from(attempts))
            .execute(&mut *self.connection)
            .await;
        parked.map(drop).map_err(classify_view(PARKING, self.view))
    }

    async fn queue(&mut self, events: Vec<(&str, Position)>) -> Result<()> {
        let Some((last, _)) = events.last() else { return Ok(()) };
        let last = (*last).to_owned();
        let sql = self.schema.sql(
            "insert into @schema@.parked_events (view, key, position) \
             select $1, key, position from unnest($2::text[], $3::bigint[]) u(key, position) \
             on conflict do nothing",
        );
        let (keys, positions): (Vec<&str>, Vec<i64>) =
            events.into_iter().map(|(key, position)| (key, signed(position.get()))).unzip();
        let query = sqlx::query(sql).bind(self.view.as_str()).bind(keys).bind(positions);
        match query.execute(&mut *self.connection).await {
            Err(error) if is_missing_reference(&error) => Err(not_parked(self.view, &last).into()),
            queued => queued.map(drop).map_err(classify_view(PARKING, self.view)),
        }
    }

    async fn drain(&mut self, key: &str, through: Position) -> Result<()> {
        let drained = sqlx::query(self.schema.sql(DRAIN))
            .bind(self.view.as_str())
            .bind(key)
            .bind(signed(through.get()))
            .execute(&mut *self.connection)
            .await;
        drained.map(drop).map_err(classify_view(PARKING, self.view))
    }
}

pub(super) async fn page(
    inner: Arc<PostgresInner>,
    view: ViewName,
    after: Option<String>,
    limit: usize,
) -> Result<Vec<ParkedKey>> {
    let sql = inner.schema.sql(
        "select k.key, k.since, k.error, k.attempts, k.parked_at, k.retry, \
             (select count(*) from @schema@.parked_events e where e.view = k.view and e.key = k.key) \
         from @schema@.parked_keys k where k.view = $1 and ($2::text is null or k.key > $2) \
         order by k.key limit $3",
    );
    let query = sqlx::query(sql).bind(view.as_str()).bind(after).bind(signed(limit as u64));
    let rows = inner.connections.fetch_all(query).await;
    rows.and_then(|rows| rows.iter().map(decode).collect()).map_err(classify(READING))
}

fn decode(row: &PgRow) -> Result<ParkedKey, sqlx::Error> {
    let attempts: i64 = row.try_get(3)?;
    Ok(ParkedKey {
        key: row.try_get(0)?,
        since: Position::new(unsigned(row.try_get(1)?)?),
        error: row.try_get(2)?,
        attempts: attempts.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        parked_at: row.try_get::<PgTimestamp, _>(4)?.0,
        retry: row.try_get(5)?,
        queued: unsigned(row.try_get(6)?)?,
    })
}

pub(super) async fn queued(
    inner: Arc<PostgresInner>,
    view: ViewName,
    key: String,
    after: Position,
    limit: usize,
) -> Result<Vec<Position>> {
    let sql = inner.schema.sql(
        "select position from @schema@.parked_events where view = $1 and key = $2 and position > $3 \
         order by position limit $4",
    );
    let query = sqlx::query(sql)
        .bind(view.as_str())
        .bind(key)
        .bind(signed(after.get()))
        .bind(signed(limit as u64));
    let rows = inner.connections.fetch_all(query).await.map_err(classify(READING))?;
    let position = |row: &PgRow| row.try_get(0).and_then(unsigned).map(Position::new);
    rows.iter().map(position).collect::<Result<_, _>>().map_err(classify(READING))
}

pub(super) async fn retry(inner: Arc<PostgresInner>, view: ViewName, key: String) -> Result<bool> {
    let sql = inner
        .schema
        .sql("update @schema@.parked_keys set retry = true where view = $1 and key = $2");
    let query = sqlx::query(sql).bind(view.as_str()).bind(key);
    let retried = inner.connections.execute(query).await.map_err(classify(PARKING))?;
    let is_parked = retried.rows_affected() == 1;
    if is_parked {
        inner.follower.changed(ViewChange::Other(view));
    }
    Ok(is_parked)
}
