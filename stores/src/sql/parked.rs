//! Parked keys, and the events that are held back behind them (R4).

use std::{mem, sync::Arc};

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{ParkChange, ParkedKey, ViewCommit},
};

use super::{
    row::SqlRow,
    store::{
        SqlStore,
        SqlValue::{Number, OptionalText, Text},
    },
    view_changes::ViewChange,
};

pub(crate) const PARKING: &str = "parking keys";
const READING: &str = "reading parked keys";

/// The changes of the parked keys of a view, within the transaction of a commit.
pub(crate) trait Parking {
    /// Parks a key. The event for which it is parked is the first that is held back.
    async fn park(&mut self, key: &str, since: Position, error: &str, attempts: u32) -> Result<()>;

    async fn queue(&mut self, events: Vec<(&str, Position)>) -> Result<()>;

    /// Removes the events up to `through`, and the key if no event is left.
    async fn drain(&mut self, key: &str, through: Position) -> Result<()>;

    /// Makes the changes of a commit, in order. Events that are queued one after the other share a
    /// statement.
    async fn change(&mut self, commit: &ViewCommit) -> Result<()> {
        let mut queued = Vec::new();
        for change in &commit.parked {
            match change {
                ParkChange::Queue { key, position } => queued.push((key.as_str(), *position)),
                ParkChange::Park { key, since, error, attempts } => {
                    self.queue(mem::take(&mut queued)).await?;
                    self.park(key, *since, error, *attempts).await?;
                }
                ParkChange::Drain { key, through } => {
                    self.queue(mem::take(&mut queued)).await?;
                    self.drain(key, *through).await?;
                }
            }
        }
        self.queue(queued).await
    }
}

pub(crate) async fn page<S: SqlStore>(
    store: Arc<S>,
    view: ViewName,
    after: Option<String>,
    limit: usize,
) -> Result<Vec<ParkedKey>> {
    let sql = store.sql(
        "select k.key, k.since, k.error, k.attempts, k.parked_at, k.retry, \
             (select count(*) from @schema@.parked_events e where e.view = k.view and e.key = k.key) \
         from @schema@.parked_keys k where k.view = $1 and ($2 is null or k.key > $2) \
         order by k.key limit $3",
    );
    let values = [Text(view.as_str()), OptionalText(after.as_deref()), Number(limit as u64)];
    let rows = store.fetch(sql, &values).await;
    rows.and_then(|rows| rows.iter().map(decode).collect()).map_err(S::classify(READING))
}

fn decode(row: &impl SqlRow) -> sqlx::Result<ParkedKey> {
    let attempts = u32::try_from(row.number(3)?);
    Ok(ParkedKey {
        key: row.text(0)?.to_owned(),
        since: row.position(1)?,
        error: row.text(2)?.to_owned(),
        attempts: attempts.map_err(|error| sqlx::Error::Decode(error.into()))?,
        parked_at: row.time(4)?,
        retry: row.flag(5)?,
        queued: row.number(6)?,
    })
}

pub(crate) async fn queued<S: SqlStore>(
    store: Arc<S>,
    view: ViewName,
    key: String,
    after: Position,
    limit: usize,
) -> Result<Vec<Position>> {
    let sql = store.sql(
        "select position from @schema@.parked_events where view = $1 and key = $2 and position > $3 \
         order by position limit $4",
    );
    let values = [Text(view.as_str()), Text(&key), Number(after.get()), Number(limit as u64)];
    let rows = store.fetch(sql, &values).await;
    rows.and_then(|rows| rows.iter().map(|row| row.position(0)).collect())
        .map_err(S::classify(READING))
}

pub(crate) async fn retry<S: SqlStore>(store: Arc<S>, view: ViewName, key: String) -> Result<bool> {
    let sql =
        store.sql("update @schema@.parked_keys set retry = true where view = $1 and key = $2");
    let values = [Text(view.as_str()), Text(&key)];
    let is_parked = store.execute(PARKING, sql, &values).await? == 1;
    if is_parked {
        store.changed(ViewChange::Other(view));
    }
    Ok(is_parked)
}
