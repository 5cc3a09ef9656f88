//! Who may commit, and who is alive: by the clock of the store, since all who share the file share a
//! machine (R1).

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{Claim, ClaimMode, Members, Progress, ShardClaim, WorkerId},
    value::{Epoch, ShardId, Sharding},
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    Inner,
    error::classify,
    options::Prefix,
    row::{signed, timestamp, unsigned},
};
use crate::{
    claims::{Held, division, end_of, has_shard, missing},
    hints::Hint,
};

/// One statement that compares and sets.
pub(super) async fn claim(inner: Arc<Inner>, claim: ShardClaim) -> Result<Option<Claim>> {
    let ShardClaim { view, sharding, shard, worker, mode, lease } = claim;
    let (prefix, now) = (&inner.prefix, inner.clock.now());
    let sql = format!(
        "update {prefix}shards set epoch = epoch + 1, owner = ?3, lease_until = ?4 \
         where view = ?1 and shard = ?2 \
             and (?5 or owner is null or owner = ?3 or lease_until <= ?6) \
             and (select layout from {prefix}views where view = ?1) = ?7 \
         returning epoch, position, as_of, cursor"
    );
    let mut connection = inner.writing().await?;
    let claimed = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(shard.get())
        .bind(worker.as_str())
        .bind(end_of(lease, now).as_microsecond())
        .bind(mode == ClaimMode::Always)
        .bind(now.as_microsecond())
        .bind(sharding.to_string())
        // Not `fetch_optional`, which would not run the statement to its end.
        .fetch_all(&mut **connection)
        .await
        .map_err(classify("claiming a shard"))?;
    if let Some(row) = claimed.first() {
        return decode(shard, row).map(Some).map_err(classify("claiming a shard"));
    }
    let actual = super::view::state(&inner, &view).await?.sharding;
    has_shard(&view, sharding, actual, shard).map(|()| None)
}

fn decode(shard: ShardId, row: &SqliteRow) -> Result<Claim, sqlx::Error> {
    let progress = Progress {
        position: Position::new(unsigned(row.try_get(1)?)?),
        as_of: timestamp(row.try_get(2)?)?,
        cursor: row.try_get::<Vec<u8>, _>(3)?.into(),
    };
    Ok(Claim { shard, epoch: Epoch::new(unsigned(row.try_get(0)?)?), progress })
}

pub(super) async fn heartbeat(
    inner: Arc<Inner>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
) -> Result<Members> {
    let now = inner.clock.now();
    let mut connection = inner.writing().await?;
    let transaction = connection.begin_writing().await;
    let mut transaction = transaction.map_err(classify("signing in"))?;
    let roll = Signing { connection: &mut transaction, prefix: &inner.prefix, view: &view, now }
        .sign_in(&worker, end_of(lease, now))
        .await
        .map_err(classify("signing in"))?;
    if roll.holders.is_empty() {
        return Err(missing(&view));
    }
    transaction.commit().await.map_err(classify("signing in"))?;
    Ok(roll)
}

struct Signing<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    view: &'a ViewName,
    now: Timestamp,
}

impl Signing<'_> {
    async fn sign_in(
        &mut self,
        worker: &WorkerId,
        until: Timestamp,
    ) -> Result<Members, sqlx::Error> {
        let (prefix, view) = (self.prefix, self.view);
        let alive = format!(
            "insert into {prefix}workers (view, worker, alive_until) values ('{view}', ?1, ?2) \
             on conflict (view, worker) do update set alive_until = excluded.alive_until"
        );
        let kept = format!(
            "update {prefix}shards set lease_until = ?2 where view = '{view}' and owner = ?1"
        );
        for sql in [alive, kept] {
            sqlx::query(AssertSqlSafe(sql))
                .bind(worker.as_str())
                .bind(until.as_microsecond())
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(Members { workers: self.workers().await?, holders: self.holders().await? })
    }

    /// Who is alive. The others are struck off.
    async fn workers(&mut self) -> Result<Vec<WorkerId>, sqlx::Error> {
        let (prefix, view) = (self.prefix, self.view);
        let gone =
            format!("delete from {prefix}workers where view = '{view}' and alive_until <= ?");
        sqlx::query(AssertSqlSafe(gone))
            .bind(self.now.as_microsecond())
            .execute(&mut *self.connection)
            .await?;
        let alive = format!("select worker from {prefix}workers where view = '{view}' order by 1");
        let alive = sqlx::query_scalar(AssertSqlSafe(alive));
        let alive: Vec<String> = alive.fetch_all(&mut *self.connection).await?;
        alive.into_iter().map(worker).collect()
    }

    async fn holders(&mut self) -> Result<Vec<Option<WorkerId>>, sqlx::Error> {
        let sql = format!(
            "select case when lease_until > ? then owner end from {}shards where view = '{}' \
             order by shard",
            self.prefix, self.view
        );
        let holders = sqlx::query_scalar(AssertSqlSafe(sql)).bind(self.now.as_microsecond());
        let holders: Vec<Option<String>> = holders.fetch_all(&mut *self.connection).await?;
        holders.into_iter().map(|holder| holder.map(worker).transpose()).collect()
    }
}

fn worker(name: String) -> Result<WorkerId, sqlx::Error> {
    WorkerId::new(name).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

pub(super) async fn release(
    inner: Arc<Inner>,
    view: ViewName,
    shard: ShardId,
    epoch: Epoch,
) -> Result<()> {
    let sql = format!(
        "update {}shards set epoch = epoch + 1, owner = null, lease_until = null \
         where view = ? and shard = ? and epoch = ?",
        inner.prefix
    );
    let mut connection = inner.writing().await?;
    let released = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(shard.get())
        .bind(signed(epoch.get()))
        .execute(&mut **connection)
        .await;
    released.map(drop).map_err(classify("releasing a shard"))
}

pub(super) async fn leave(inner: Arc<Inner>, view: ViewName, worker: WorkerId) -> Result<()> {
    let (prefix, doing) = (&inner.prefix, "signing out");
    let mut connection = inner.writing().await?;
    let mut transaction = connection.begin_writing().await.map_err(classify(doing))?;
    for sql in [
        format!("delete from {prefix}workers where view = ? and worker = ?"),
        format!(
            "update {prefix}shards set epoch = epoch + 1, owner = null, lease_until = null \
             where view = ? and owner = ?"
        ),
    ] {
        sqlx::query(AssertSqlSafe(sql))
            .bind(view.as_str())
            .bind(worker.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(classify(doing))?;
    }
    transaction.commit().await.map_err(classify(doing))
}

/// What the shards of a view have; none if it has never been opened.
pub(super) async fn held(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    view: &ViewName,
) -> Result<Vec<Held>> {
    let sql =
        format!("select epoch, position, as_of from {prefix}shards where view = ? order by shard");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).fetch_all(connection).await;
    let held = |row: &SqliteRow| {
        Ok(Held {
            epoch: Epoch::new(unsigned(row.try_get(0)?)?),
            position: Position::new(unsigned(row.try_get(1)?)?),
            as_of: timestamp(row.try_get(2)?)?,
        })
    };
    rows.and_then(|rows| rows.iter().map(held).collect()).map_err(classify("reading a view"))
}

pub(super) async fn reshard(
    inner: Arc<Inner>,
    view: ViewName,
    claims: Vec<Claim>,
    sharding: Sharding,
) -> Result<()> {
    let (prefix, doing) = (&inner.prefix, "dividing a view anew");
    let mut connection = inner.writing().await?;
    let mut transaction = connection.begin_writing().await.map_err(classify(doing))?;
    let at = division(&view, &claims, &held(&mut transaction, prefix, &view).await?)?;
    let begin = format!(
        "delete from {prefix}shards where view = '{view}'; \
         update {prefix}views set layout = '{sharding}' where view = '{view}'; \
         {}",
        beginning(prefix, &view, sharding, at)
    );
    let divided = sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *transaction).await;
    divided.map_err(classify(doing))?;
    transaction.commit().await.map_err(classify(doing))?;
    inner.following.changed(&Hint::Other(view));
    Ok(())
}

/// A statement that makes the shards of a layout.
pub(super) fn beginning(prefix: &Prefix, view: &ViewName, layout: Sharding, at: Held) -> String {
    let Held { epoch, position, as_of } = at;
    format!(
        "with recursive n (shard) as \
             (select 0 union all select shard + 1 from n where shard + 1 < {}) \
         insert into {prefix}shards (view, shard, epoch, position, as_of, cursor) \
         select '{view}', shard, {epoch}, {}, {}, x'' from n",
        layout.shards,
        signed(position.get()),
        as_of.as_microsecond()
    )
}
