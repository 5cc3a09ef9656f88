//! Leases and epochs of shards, and the workers that are alive. All processes that share the file share a
//! machine, so times are those of the store's clock (R1).

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Result,
    domain::ViewName,
    port::{Claim, ClaimMode, Members, ShardClaim, ShardStop, WorkerId},
    value::{Epoch, Sharding},
};
use sqlx::SqliteConnection;

use super::{SqliteInner, error::classify, options::Prefix, row::signed};
use crate::{
    fencing::{
        LeaseTerm, ShardState, check_definition, check_reshard, check_sharding, view_missing,
    },
    sql::{
        shard::{decode_claim, decode_members, decode_shards},
        stop::StoredStop,
        view::{read_state, stored_hash},
        view_changes::ViewChange,
    },
};

const CLAIMING: &str = "claiming a shard";

/// Compares and sets in one statement.
pub(super) async fn claim(inner: Arc<SqliteInner>, claim: ShardClaim) -> Result<Option<Claim>> {
    let ShardClaim { view, sharding, shard, worker, mode, lease, definition } = claim;
    let now = inner.clock.now();
    let sql = inner.prefix.sql(
        "update @prefix@shards set epoch = epoch + 1, owner = ?3, lease_until = ?4, leased_at = ?6 \
         where view = ?1 and shard = ?2 \
             and (?5 or owner is null or owner = ?3 or lease_until <= ?6 or leased_at > ?8) \
             and exists (select 1 from @prefix@views where view = ?1 and layout = ?7 \
                             and coalesce(definition_hash = ?9, true)) \
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
        .bind(LeaseTerm::latest_start(now).as_microsecond())
        .bind(definition.map(stored_hash))
        // `fetch_optional` would not run the statement to its end.
        .fetch_all(&mut **connection)
        .await
        .map_err(classify(CLAIMING))?;
    if let Some(row) = claimed.first() {
        return decode_claim(shard, row, 0).map(Some).map_err(classify(CLAIMING));
    }
    let actual = read_state(&*inner, &view).await?;
    check_definition(&view, definition, actual.definition)?;
    check_sharding(&view, sharding, actual.sharding, shard).map(|()| None)
}

pub(super) async fn heartbeat(
    inner: Arc<SqliteInner>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
) -> Result<Members> {
    let doing = "recording a heartbeat";
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(doing))?;
    let members = record_heartbeat(&mut transaction, &inner, &view, &worker, lease).await;
    let members = members.map_err(classify(doing))?;
    if members.holders.is_empty() {
        return Err(view_missing(&view));
    }
    transaction.commit().await.map_err(classify(doing))?;
    Ok(members)
}

/// Extends the leases of a worker, and deletes the workers that are not alive.
async fn record_heartbeat(
    connection: &mut SqliteConnection,
    inner: &SqliteInner,
    view: &ViewName,
    worker: &WorkerId,
    lease: Duration,
) -> Result<Members, sqlx::Error> {
    let prefix = &inner.prefix;
    let now = inner.clock.now();
    let latest_start = LeaseTerm::latest_start(now).as_microsecond();
    for sql in [
        "insert into @prefix@workers (view, worker, alive_until, alive_at) \
         values (?1, ?2, ?3, ?4) on conflict (view, worker) \
         do update set alive_until = excluded.alive_until, alive_at = excluded.alive_at",
        "update @prefix@shards set lease_until = ?3, leased_at = ?4 \
         where view = ?1 and owner = ?2",
        "delete from @prefix@workers where view = ?1 and (alive_until <= ?4 or alive_at > ?5)",
    ] {
        sqlx::query(prefix.sql(sql))
            .bind(view.as_str())
            .bind(worker.as_str())
            .bind(LeaseTerm::new(lease, now).until.as_microsecond())
            .bind(now.as_microsecond())
            .bind(latest_start)
            .execute(&mut *connection)
            .await?;
    }
    let workers = prefix.sql("select worker from @prefix@workers where view = ? order by 1");
    let workers = sqlx::query_scalar(workers).bind(view.as_str());
    let holders = prefix.sql(
        "select case when lease_until > ?2 and coalesce(leased_at, ?2) <= ?3 then owner end \
         from @prefix@shards where view = ?1 order by shard",
    );
    let holders = sqlx::query_scalar(holders).bind(view.as_str()).bind(now.as_microsecond());
    let holders = holders.bind(latest_start);
    decode_members(
        workers.fetch_all(&mut *connection).await?,
        holders.fetch_all(&mut *connection).await?,
    )
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
    rows.and_then(|rows| decode_shards(&rows)).map_err(classify("reading a view"))
}

pub(super) async fn reshard(
    inner: Arc<SqliteInner>,
    view: ViewName,
    claims: Vec<Claim>,
    sharding: Sharding,
) -> Result<()> {
    let doing = "resharding a view";
    let prefix = &inner.prefix;
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
