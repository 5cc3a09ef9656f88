//! Parked keys, and the events that wait behind them (R4).

use std::sync::Arc;

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{ParkChange, ParkedKey, ViewCommit},
};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use super::{
    Inner,
    error::{classify, is_orphan, refusing},
    options::Schema,
    row::{Time, signed, unsigned},
};
use crate::{hints::Hint, rows::not_parked};

const PARKING: &str = "parking keys";
const PARKED: &str = "looking at parked keys";

/// Makes the changes of a commit, in order; what is queued one after the other, in one statement.
pub(super) async fn change(
    connection: &mut PgConnection,
    schema: &Schema,
    commit: &ViewCommit,
) -> Result<()> {
    let mut parking = Parking { connection, schema: schema.as_str(), view: &commit.view };
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
    connection: &'a mut PgConnection,
    schema: &'a str,
    view: &'a ViewName,
}

impl Parking<'_> {
    /// The event for which a key is parked is the first that waits.
    async fn park(&mut self, key: &str, since: Position, error: &str, attempts: u32) -> Result<()> {
        let schema = self.schema;
        let sql = format!(
            "with parked as (                  insert into {schema}.parked_keys as k                      (view, key, since, error, attempts, parked_at, retry)                  values ($1, $2, $3, $4, $5, clock_timestamp(), false)                  on conflict (view, key) do update                  set error = excluded.error, attempts = excluded.attempts, retry = false                  returning k.since              ) insert into {schema}.parked_events (view, key, position)              select $1, $2, since from parked on conflict do nothing"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(self.view.as_str())
            .bind(key)
            .bind(signed(since.get()))
            // What is said of it may hold what PostgreSQL's text may not.
            .bind(error.replace('\0', "\u{fffd}"))
            .bind(i64::from(attempts))
            .execute(&mut *self.connection)
            .await
            .map(drop)
            .map_err(refusing(PARKING, self.view))
    }

    async fn queue(&mut self, events: Vec<(&str, Position)>) -> Result<()> {
        let Some((last, _)) = events.last() else { return Ok(()) };
        let last = (*last).to_owned();
        let sql = format!(
            "insert into {}.parked_events (view, key, position)              select $1, key, position from unnest($2::text[], $3::bigint[]) u(key, position)              on conflict do nothing",
            self.schema
        );
        let (keys, positions): (Vec<&str>, Vec<i64>) =
            events.into_iter().map(|(key, position)| (key, signed(position.get()))).unzip();
        let queued = sqlx::query(AssertSqlSafe(sql))
            .bind(self.view.as_str())
            .bind(keys)
            .bind(positions)
            .execute(&mut *self.connection)
            .await;
        match queued {
            Err(error) if is_orphan(&error) => Err(not_parked(self.view, &last).into()),
            queued => queued.map(drop).map_err(refusing(PARKING, self.view)),
        }
    }

    async fn drain(&mut self, key: &str, through: Position) -> Result<()> {
        let schema = self.schema;
        let sql = format!(
            "with drained as (                  delete from {schema}.parked_events                  where view = $1 and key = $2 and position <= $3              ), first as (                  select min(position) as since from {schema}.parked_events                  where view = $1 and key = $2 and position > $3              ), freed as (                  delete from {schema}.parked_keys                  where view = $1 and key = $2 and (select since from first) is null              ) update {schema}.parked_keys set since = (select since from first)              where view = $1 and key = $2 and (select since from first) is not null"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(self.view.as_str())
            .bind(key)
            .bind(signed(through.get()))
            .execute(&mut *self.connection)
            .await
            .map(drop)
            .map_err(refusing(PARKING, self.view))
    }
}

pub(super) async fn page(
    inner: Arc<Inner>,
    view: ViewName,
    after: Option<String>,
    limit: usize,
) -> Result<Vec<ParkedKey>> {
    let schema = inner.schema.as_str();
    let sql = format!(
        "select k.key, k.since, k.error, k.attempts, k.parked_at, k.retry,              (select count(*) from {schema}.parked_events e where e.view = k.view and e.key = k.key)          from {schema}.parked_keys k where k.view = $1 and ($2::text is null or k.key > $2)          order by k.key limit $3"
    );
    let query =
        sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(after).bind(signed(limit as u64));
    let rows = inner.lanes.fetch_all(query).await.map_err(classify(PARKED))?;
    rows.iter().map(decode).collect::<Result<_, _>>().map_err(classify(PARKED))
}

fn decode(row: &PgRow) -> Result<ParkedKey, sqlx::Error> {
    let attempts: i64 = row.try_get(3)?;
    Ok(ParkedKey {
        key: row.try_get(0)?,
        since: Position::new(unsigned(row.try_get(1)?)?),
        error: row.try_get(2)?,
        attempts: attempts.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        parked_at: row.try_get::<Time, _>(4)?.0,
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
        "select position from {}.parked_events where view = $1 and key = $2 and position > $3          order by position limit $4",
        inner.schema.as_str()
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(key)
        .bind(signed(after.get()))
        .bind(signed(limit as u64));
    let rows = inner.lanes.fetch_all(query).await.map_err(classify(PARKED))?;
    let position = |row: &PgRow| row.try_get(0).and_then(unsigned).map(Position::new);
    rows.iter().map(position).collect::<Result<_, _>>().map_err(classify(PARKED))
}

pub(super) async fn retry(inner: Arc<Inner>, view: ViewName, key: String) -> Result<bool> {
    let sql = format!(
        "update {}.parked_keys set retry = true where view = $1 and key = $2",
        inner.schema.as_str()
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(key);
    let asked = inner.lanes.execute(query);
    let is_parked = asked.await.map_err(classify(PARKED))?.rows_affected() == 1;
    if is_parked {
        inner.following.changed(Hint::Other(view));
    }
    Ok(is_parked)
}
