//! Leases and epochs of shards, and the workers that are alive. All processes that share the file share a
//! machine, so times are those of the store's clock (R1).

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{Claim, ClaimMode, Members, Progress, ShardClaim, ShardStop, WorkerId},
    value::{Epoch, ShardId, Sharding},
};
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    SqliteInner,
    error::classify,
    options::Prefix,
    row::{signed, timestamp, unsigned},
    view::read_state,
};
use crate::{
    fencing::{LeaseTerm, ShardState, check_reshard, check_sharding, view_missing},
    sql::{stop::StoredStop, view_changes::ViewChange},
};

const CLAIMING: &str = "claiming a shard";

/// Compares and sets in one statement.
pub(super) async fn claim(inner: Arc<SqliteInner>, claim: ShardClaim) -> Result<Option<Claim>> {
    let ShardClaim { view, sharding, shard, worker, mode, lease } = claim;
    let now = inner.clock.now();
    let sql = inner.prefix.sql(
        "update @prefix@shards set epoch = epoch + 1, owner = ?3, lease_until = ?4, leased_at = ?6 \
         where view = ?1 and shard = ?2 \
             and (?5 or owner is null or owner = ?3 or lease_until <= ?6 or leased_at > ?6) \
             and (select layout from @prefix@views where view = ?1) = ?7 \
         returning epoch, position, as_of, cursor",
    );
    let mut connection = inner.writer().await?;
    let claimed = sqlx::query(sql)
        .bind(view.as_str())
        .bind(shard.get())
        .bind(worker.as_str())
        .bind(LeaseTerm::new(lease, now).until.as_microsecond())
        .bind(mode == ClaimMode::Always)
        .bind(now.as_microsecond())
        .bind(sharding.to_string())
        // `fetch_optional` would not run the statement to its end.
        .fetch_all(&mut **connection)
        .await
        .map_err(classify(CLAIMING))?;
    if let Some(row) = claimed.first() {
        return decode_claim(shard, row).map(Some).map_err(classify(CLAIMING));
    }
    let actual = read_state(&inner, &view).await?.sharding;
    check_sharding(&view, sharding, actual, shard).map(|()| None)
}

fn decode_claim(shard: ShardId, row: &SqliteRow) -> Result<Claim, sqlx::Error> {
    let progress = Progress {
        position: Position::new(unsigned(row.try_get(1)?)?),
        as_of: timestamp(row.try_get(2)?)?,
        cursor: row.try_get::<Vec<u8>, _>(3)?.into(),
    };
    Ok(Claim { shard, epoch: Epoch::new(unsigned(row.try_get(0)?)?), progress })
}

pub(super) async fn heartbeat(
    inner: Arc<SqliteInner>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
) -> Result<Members> {
    let doing = "recording a heartbeat";
    let now = inner.clock.now();
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(doing))?;
    let members = HeartbeatTransaction {
        connection: &mut transaction,
        prefix: &inner.prefix,
        view: &view,
        now,
    }
    .record(&worker, LeaseTerm::new(lease, now))
    .await
    .map_err(classify(doing))?;
    if members.holders.is_empty() {
        return Err(view_missing(&view));
    }
    transaction.commit().await.map_err(classify(doing))?;
    Ok(members)
}

struct HeartbeatTransaction<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    view: &'a ViewName,
    now: Timestamp,
}

impl HeartbeatTransaction<'_> {
    async fn record(&mut self, worker: &WorkerId, term: LeaseTerm) -> Result<Members, sqlx::Error> {
        for sql in [
            "insert into @prefix@workers (view, worker, alive_until, alive_at) \
             values (?1, ?2, ?3, ?4) on conflict (view, worker) \
             do update set alive_until = excluded.alive_until, alive_at = excluded.alive_at",
            "update @prefix@shards set lease_until = ?3, leased_at = ?4 \
             where view = ?1 and owner = ?2",
        ] {
            sqlx::query(self.prefix.sql(sql))
                .bind(self.view.as_str())
                .bind(worker.as_str())
                .bind(term.until.as_microsecond())
                .bind(term.from.as_microsecond())
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(Members { workers: self.workers().await?, holders: self.holders().await? })
    }

    /// Returns the workers that are alive, and deletes the others.
    async fn workers(&mut self) -> Result<Vec<WorkerId>, sqlx::Error> {
        let dead = self.prefix.sql(
            "delete from @prefix@workers where view = ?1 and (alive_until <= ?2 or alive_at > ?2)",
        );
        sqlx::query(dead)
            .bind(self.view.as_str())
            .bind(self.now.as_microsecond())
            .execute(&mut *self.connection)
            .await?;
        let alive = self.prefix.sql("select worker from @prefix@workers where view = ? order by 1");
        let alive = sqlx::query_scalar(alive).bind(self.view.as_str());
        let alive: Vec<String> = alive.fetch_all(&mut *self.connection).await?;
        alive.into_iter().map(worker_id).collect()
    }

    async fn holders(&mut self) -> Result<Vec<Option<WorkerId>>, sqlx::Error> {
        let sql = self.prefix.sql(
            "select case when lease_until > ?1 and coalesce(leased_at, ?1) <= ?1 then owner end \
             from @prefix@shards where view = ?2 order by shard",
        );
        let holders =
            sqlx::query_scalar(sql).bind(self.now.as_microsecond()).bind(self.view.as_str());
        let holders: Vec<Option<String>> = holders.fetch_all(&mut *self.connection).await?;
        holders.into_iter().map(|holder| holder.map(worker_id).transpose()).collect()
    }
}

fn worker_id(name: String) -> Result<WorkerId, sqlx::Error> {
    WorkerId::new(name).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

pub(super) async fn release(
    inner: Arc<SqliteInner>,
    view: ViewName,
    shard: ShardId,
    epoch: Epoch,
) -> Result<()> {
    let sql = inner.prefix.sql(
        "update @prefix@shards set epoch = epoch + 1, owner = null, lease_until = null \
         where view = ? and shard = ? and epoch = ?",
    );
    let mut connection = inner.writer().await?;
    let released = sqlx::query(sql)
        .bind(view.as_str())
        .bind(shard.get())
        .bind(signed(epoch.get()))
        .execute(&mut **connection)
        .await;
    released.map(drop).map_err(classify("releasing a shard"))
}

pub(super) async fn stop(
    inner: Arc<SqliteInner>,
    view: ViewName,
    epoch: Epoch,
    stop: ShardStop,
) -> Result<()> {
    let doing = "stopping a shard";
    let sql = inner
        .prefix
        .sql("update @prefix@shards set stopped = ? where view = ? and shard = ? and epoch = ?");
    let mut connection = inner.writer().await?;
    let stopped = sqlx::query(sql)
        .bind(StoredStop::encode(&stop).map_err(classify(doing))?)
        .bind(view.as_str())
        .bind(stop.shard.get())
        .bind(signed(epoch.get()))
        .execute(&mut **connection)
        .await;
    stopped.map_err(classify(doing))?;
    inner.follower.changed(&ViewChange::Other(view));
    Ok(())
}

pub(super) async fn leave(inner: Arc<SqliteInner>, view: ViewName, worker: WorkerId) -> Result<()> {
    let doing = "leaving a view";
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(doing))?;
    for sql in [
        "delete from @prefix@workers where view = ? and worker = ?",
        "update @prefix@shards set epoch = epoch + 1, owner = null, lease_until = null \
         where view = ? and owner = ?",
    ] {
        sqlx::query(inner.prefix.sql(sql))
            .bind(view.as_str())
            .bind(worker.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(classify(doing))?;
    }
    transaction.commit().await.map_err(classify(doing))
}

/// Returns the shards of a view; none if it has never been opened.
pub(super) async fn read_shards(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    view: &ViewName,
) -> Result<Vec<ShardState>> {
    let sql = prefix
        .sql("select epoch, position, as_of from @prefix@shards where view = ? order by shard");
    let rows = sqlx::query(sql).bind(view.as_str()).fetch_all(connection).await;
    rows.and_then(|rows| rows.iter().map(decode_shard).collect())
        .map_err(classify("reading a view"))
}

fn decode_shard(row: &SqliteRow) -> Result<ShardState, sqlx::Error> {
    Ok(ShardState {
        epoch: Epoch::new(unsigned(row.try_get(0)?)?),
        position: Position::new(unsigned(row.try_get(1)?)?),
        as_of: timestamp(row.try_get(2)?)?,
    })
}

pub(super) async fn reshard(
    inner: Arc<SqliteInner>,
    view: ViewName,
    claims: Vec<Claim>,
    sharding: Sharding,
) -> Result<()> {
    let (prefix, doing) = (&inner.prefix, "resharding a view");
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(doing))?;
    let shards = read_shards(&mut transaction, prefix, &view).await?;
    let initial = check_reshard(&view, &claims, &shards)?;
    for sql in [
        "delete from @prefix@shards where view = ?1",
        "update @prefix@views set layout = ?2 where view = ?1",
    ] {
        sqlx::query(prefix.sql(sql))
            .bind(view.as_str())
            .bind(sharding.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(classify(doing))?;
    }
    let inserted = insert_shards(&mut transaction, prefix, &view, sharding, initial).await;
    inserted.map_err(classify(doing))?;
    transaction.commit().await.map_err(classify(doing))?;
    inner.follower.changed(&ViewChange::Other(view));
    Ok(())
}

/// Inserts the shards of a view, all in the same state.
pub(super) async fn insert_shards(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    view: &ViewName,
    sharding: Sharding,
    initial: ShardState,
) -> Result<(), sqlx::Error> {
    let sql = prefix.sql(
        "with recursive n (shard) as \
             (select 0 union all select shard + 1 from n where shard + 1 < ?5) \
         insert into @prefix@shards (view, shard, epoch, position, as_of, cursor) \
         select ?1, shard, ?2, ?3, ?4, x'' from n",
    );
    sqlx::query(sql)
        .bind(view.as_str())
        .bind(signed(initial.epoch.get()))
        .bind(signed(initial.position.get()))
        .bind(initial.as_of.as_microsecond())
        .bind(sharding.shards)
        .execute(connection)
        .await?;
    Ok(())
}
