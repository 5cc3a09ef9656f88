//! Parked keys, and the events that are held back behind them (R4).

use highwater_core::{Position, Result, domain::ViewName, port::ViewCommit};
use sqlx::PgConnection;

use super::{
    error::{classify_view, is_missing_reference},
    options::Schema,
    row::signed,
};
use crate::{
    rows::not_parked,
    sql::parked::{PARKING, Parking},
};

/// Makes the changes of a commit, in order.
pub(super) async fn change(
    connection: &mut PgConnection,
    schema: &Schema,
    commit: &ViewCommit,
) -> Result<()> {
    PostgresParking { connection, schema, view: &commit.view }.change(commit).await
}

struct PostgresParking<'a> {
    connection: &'a mut PgConnection,
    schema: &'a Schema,
    view: &'a ViewName,
}

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

impl Parking for PostgresParking<'_> {
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
