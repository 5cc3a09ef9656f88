//! Parked keys, and the events that are held back behind them (R4).

use highwater_core::{Position, Result, domain::ViewName, port::ViewCommit};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::{
    error::{classify, classify_view},
    options::Prefix,
    row::{json, signed},
};
use crate::{
    rows::not_parked,
    sql::parked::{PARKING, Parking},
};

/// Makes the changes of a commit, in order.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
    now: Timestamp,
) -> Result<()> {
    SqliteParking { connection, prefix, view: &commit.view, now }.change(commit).await
}

struct SqliteParking<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    view: &'a ViewName,
    now: Timestamp,
}

impl Parking for SqliteParking<'_> {
    async fn park(&mut self, key: &str, since: Position, error: &str, attempts: u32) -> Result<()> {
        for sql in [
            "insert into @prefix@parked_keys (view, key, since, error, attempts, parked_at, retry) \
             values (?1, ?2, ?3, ?4, ?5, ?6, false) on conflict (view, key) do update \
             set error = excluded.error, attempts = excluded.attempts, retry = false",
            "insert into @prefix@parked_events (view, key, position) \
             select view, key, since from @prefix@parked_keys where view = ?1 and key = ?2 \
             on conflict do nothing",
        ] {
            sqlx::query(self.prefix.sql(sql))
                .bind(self.view.as_str())
                .bind(key)
                .bind(signed(since.get()))
                .bind(error)
                .bind(attempts)
                .bind(self.now.as_microsecond())
                .execute(&mut *self.connection)
                .await
                .map_err(classify_view(PARKING, self.view))?;
        }
        Ok(())
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
