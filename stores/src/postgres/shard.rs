//! Leases and epochs of shards, and the workers that are alive. Times are those of the database (R1).

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Result,
    domain::ViewName,
    port::{Claim, ClaimMode, Members, ShardClaim, ShardStop, WorkerId},
    value::{Epoch, Sharding},
};
use sqlx::{PgConnection, Row};

use super::{
    PostgresInner,
    commit::begin,
    error::classify,
    options::Schema,
    row::{PgTimestamp, signed},
};
use crate::{
    fencing::{ShardState, check_definition, check_reshard, check_sharding, view_missing},
    sql::{
        row::SqlRow,
        shard::{decode_claim, decode_members, decode_shards},
        stop::StoredStop,
        store::{
            SqlStore,
            SqlValue::{Number, Text},
        },
        view::{decode_hash, stored_hash},
        view_changes::ViewChange,
    },
};

const CLAIMING: &str = "claiming a shard";

/// `@wait@` is empty or `skip locked`.
const CLAIM: &str = "\
with divided as (
    select layout, definition_hash from @schema@.views where view = $1 for share @wait@
), free as (
    select from divided join @schema@.shards s on divided.layout = $6
    where view = $1 and shard = $2
      and ($4 or owner is null or owner = $3 or lease_until <= clock_timestamp())
      and coalesce(divided.definition_hash = $7, true)
    for update of s @wait@
), claimed as (
    update @schema@.shards
    set epoch = epoch + 1, owner = $3,
        lease_until = clock_timestamp() + $5 * interval '1 microsecond'
    where view = $1 and shard = $2 and exists (select from free)
    returning epoch, position, as_of, cursor
)
select coalesce(d.layout, v.layout), coalesce(d.definition_hash, v.definition_hash), c.*
from @schema@.views v
left join divided d on true left join claimed c on true where v.view = $1";

/// Compares and sets in one statement, which returns the sharding even if there is nothing to claim.
///
/// A claim and a reshard wait for each other, so a claimed shard never belongs to an earlier sharding. A
/// shard with a running commit is not free: if a worker waited for a commit of a machine that is gone, it
/// would send no heartbeat meanwhile, and lose its own shards.
pub(super) async fn claim(inner: Arc<PostgresInner>, claim: ShardClaim) -> Result<Option<Claim>> {
    let ShardClaim { view, sharding, shard, worker, mode, lease, definition } = claim;
    let wait = match mode {
        ClaimMode::IfFree => "skip locked",
        ClaimMode::Always => "",
    };
    let query = sqlx::query(inner.schema.sql_with(CLAIM, "@wait@", wait))
        .bind(view.as_str())
        .bind(shard.get().cast_signed())
        .bind(worker.as_str())
        .bind(mode == ClaimMode::Always)
        .bind(signed(micros(lease)))
        .bind(sharding.to_string())
        .bind(definition.map(stored_hash));
    let found = inner.view_connections.fetch_all(query).await.map_err(classify(CLAIMING))?;
    let row = found.first().ok_or_else(|| view_missing(&view))?;
    let actual = row.text(0).map_err(classify(CLAIMING))?;
    check_sharding(&view, sharding, actual.parse()?, shard)?;
    check_definition(&view, definition, decode_hash(row, 1).map_err(classify(CLAIMING))?)?;
    let epoch = row.optional_integer(2).map_err(classify(CLAIMING))?;
    let claim = epoch.map(|_| decode_claim(shard, row, 2)).transpose();
    claim.map_err(classify(CLAIMING))
}

/// Limits a lease to a thousand years, which a timestamp can hold.
fn micros(lease: Duration) -> u64 {
    const MAX_LEASE: Duration = Duration::from_secs(1_000 * 366 * 24 * 60 * 60);
    u64::try_from(lease.min(MAX_LEASE).as_micros()).unwrap_or(u64::MAX)
}

/// One round trip. The statement does not see its own writes, so the worker itself is added apart.
const HEARTBEAT: &str = "\
with alive as (
    insert into @schema@.workers (view, worker, alive_until)
    select view, $2, clock_timestamp() + $3 * interval '1 microsecond'
    from @schema@.views where view = $1
    on conflict (view, worker) do update set alive_until = excluded.alive_until
    returning worker
), kept as (
    update @schema@.shards
    set lease_until = clock_timestamp() + $3 * interval '1 microsecond'
    where view = $1 and owner = $2 returning shard
), gone as (
    delete from @schema@.workers
    where view = $1 and worker <> $2 and alive_until < clock_timestamp() - interval '1 hour'
)
select array(select worker from @schema@.workers
             where view = $1 and worker <> $2 and alive_until > clock_timestamp()
             union all select worker from alive order by 1),
       array(select case when k.shard is not null then $2
                         when s.owner <> $2 and s.lease_until > clock_timestamp() then s.owner end
             from @schema@.shards s left join kept k using (shard)
             where s.view = $1 order by s.shard)";

pub(super) async fn heartbeat(
    inner: Arc<PostgresInner>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
) -> Result<Members> {
    let doing = "recording a heartbeat";
    let values = [Text(view.as_str()), Text(worker.as_str()), Number(micros(lease))];
    let found = inner.fetch(inner.sql(HEARTBEAT), &values).await.map_err(classify(doing))?;
    let row = found.first().ok_or_else(|| view_missing(&view))?;
    let members = row.try_get(0).and_then(|workers| decode_members(workers, row.try_get(1)?));
    let members = members.map_err(classify(doing))?;
    if members.workers.is_empty() { Err(view_missing(&view)) } else { Ok(members) }
}

/// Stores that a shard has stopped, unless it was claimed since.
pub(super) async fn stop(
    inner: Arc<PostgresInner>,
    view: ViewName,
    epoch: Epoch,
    stop: ShardStop,
) -> Result<()> {
    let doing = "stopping a shard";
    let sql = inner.schema.sql(
        "update @schema@.shards set stopped = $1::json \
         where view = $2 and shard = $3 and epoch = $4",
    );
    let query = sqlx::query(sql)
        .bind(StoredStop::encode(&stop).map_err(classify(doing))?)
        .bind(view.as_str())
        .bind(stop.shard.get().cast_signed())
        .bind(signed(epoch.get()));
    inner.view_connections.execute(query).await.map_err(classify(doing))?;
    inner.follower.changed(ViewChange::Other(view));
    Ok(())
}

pub(super) async fn leave(
    inner: Arc<PostgresInner>,
    view: ViewName,
    worker: WorkerId,
) -> Result<()> {
    let sql = inner.schema.sql(
        "with gone as (delete from @schema@.workers where view = $1 and worker = $2) \
         update @schema@.shards set epoch = epoch + 1, owner = null, lease_until = null \
         where view = $1 and owner = $2",
    );
    let values = [Text(view.as_str()), Text(worker.as_str())];
    inner.execute("leaving a view", sql, &values).await.map(drop)
}

/// Returns the shards of a view; none if it has never been opened.
pub(super) async fn read_shards(inner: &PostgresInner, view: &ViewName) -> Result<Vec<ShardState>> {
    let mut connection = inner.view_connections.take().await.map_err(classify("reading a view"))?;
    let shards = select_shards(&mut connection, &inner.schema, view, "").await?;
    connection.keep();
    Ok(shards)
}

async fn select_shards(
    connection: &mut PgConnection,
    schema: &Schema,
    view: &ViewName,
    lock: &'static str,
) -> Result<Vec<ShardState>> {
    let sql = schema.sql_with(
        "select epoch, position, as_of from @schema@.shards where view = $1 order by shard @lock@",
        "@lock@",
        lock,
    );
    let rows = sqlx::query(sql).bind(view.as_str()).fetch_all(connection).await;
    rows.and_then(|rows| decode_shards(&rows)).map_err(classify("reading a view"))
}

pub(super) async fn reshard(
    inner: Arc<PostgresInner>,
    view: ViewName,
    claims: Vec<Claim>,
    sharding: Sharding,
) -> Result<()> {
    let doing = "resharding a view";
    let schema = &inner.schema;
    let mut connection = inner.view_connections.take().await.map_err(classify(doing))?;
    let mut transaction = begin(&mut connection, doing).await?;
    // Another reshard would delete the shards that the next statement waits for, and a claim has to know
    // the sharding of the view.
    let lock = sqlx::query(schema.sql("select from @schema@.views where view = $1 for update"));
    let locked = lock.bind(view.as_str()).execute(&mut *transaction).await;
    locked.map_err(classify(doing))?;
    let shards = select_shards(&mut transaction, schema, &view, "for update").await?;
    let initial = check_reshard(&view, &claims, &shards)?;
    replace_shards(&mut transaction, schema, &view, sharding, initial)
        .await
        .map_err(classify(doing))?;
    transaction.commit().await.map_err(classify(doing))?;
    inner.follower.changed(ViewChange::Other(view));
    Ok(())
}

async fn replace_shards(
    connection: &mut PgConnection,
    schema: &Schema,
    view: &ViewName,
    sharding: Sharding,
    initial: ShardState,
) -> Result<(), sqlx::Error> {
    let delete = schema.sql(
        "with deleted as (delete from @schema@.shards where view = $1) \
         update @schema@.views set layout = $2 where view = $1",
    );
    let delete = sqlx::query(delete).bind(view.as_str()).bind(sharding.to_string());
    delete.execute(&mut *connection).await?;
    let insert = schema.sql(
        "insert into @schema@.shards \
             (view, shard, epoch, position, as_of, cursor, layout, definition_hash) \
         select $1, shard, $2, $3, $4, '', $6, definition_hash \
         from @schema@.views cross join generate_series(0, $5 - 1) shard where view = $1",
    );
    sqlx::query(insert)
        .bind(view.as_str())
        .bind(signed(initial.epoch.get()))
        .bind(signed(initial.position.get()))
        .bind(PgTimestamp(initial.as_of))
        .bind(sharding.shards.cast_signed())
        .bind(sharding.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
