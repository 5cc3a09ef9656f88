//! Who may commit, and who is alive: by the clock of the database (R1).

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{Claim, ClaimMode, Members, Progress, ShardClaim, WorkerId},
    value::{Epoch, ShardId, Sharding},
};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use super::{
    Inner,
    error::classify,
    options::Schema,
    row::{Time, signed, unsigned},
};
use crate::{
    claims::{Held, division, has_shard, missing},
    hints::Hint,
};

/// One statement that compares and sets; it has the layout also if there is nothing to claim. Who divides
/// the view waits for it, or it for them: it is never a shard of the layout before. A shard for
/// which a commit is under way is not free: whoever waited for that, the machine that sent it gone, would
/// give no sign of life, and lose what is its own.
pub(super) async fn claim(inner: Arc<Inner>, claim: ShardClaim) -> Result<Option<Claim>> {
    let ShardClaim { view, sharding, shard, worker, mode, lease } = claim;
    let schema = inner.schema.as_str();
    let waiting = match mode {
        ClaimMode::IfFree => "skip locked",
        ClaimMode::Always => "",
    };
    let sql = format!(
        "with divided as ( \
             select layout from {schema}.views where view = $1 for share {waiting} \
         ), free as ( \
             select from divided join {schema}.shards s on divided.layout = $6 \
             where view = $1 and shard = $2 and ($4 or owner is null or owner = $3 \
                 or lease_until <= clock_timestamp()) \
             for update of s {waiting} \
         ), claimed as ( \
             update {schema}.shards \
             set epoch = epoch + 1, owner = $3, \
                 lease_until = clock_timestamp() + $5 * interval '1 microsecond' \
             where view = $1 and shard = $2 and exists (select from free) \
             returning epoch, position, as_of, cursor \
         ) select coalesce(d.layout, v.layout), c.* from {schema}.views v \
         left join divided d on true left join claimed c on true where v.view = $1"
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(shard.get().cast_signed())
        .bind(worker.as_str())
        .bind(mode == ClaimMode::Always)
        .bind(micros(lease))
        .bind(sharding.to_string());
    let row = inner
        .lanes
        .fetch_optional(query)
        .await
        .map_err(classify("claiming a shard"))?
        .ok_or_else(|| missing(&view))?;
    let (actual, claim) = decode(shard, &row).map_err(classify("claiming a shard"))?;
    has_shard(&view, sharding, actual.parse()?, shard)?;
    Ok(claim)
}

/// A thousand years are for ever; a timestamp would hold more, but not without end.
fn micros(lease: Duration) -> i64 {
    const FOR_EVER: Duration = Duration::from_secs(1_000 * 366 * 24 * 60 * 60);
    i64::try_from(lease.min(FOR_EVER).as_micros()).unwrap_or(i64::MAX)
}

fn decode(shard: ShardId, row: &PgRow) -> Result<(&str, Option<Claim>), sqlx::Error> {
    let layout = row.try_get(0)?;
    let Some(epoch) = row.try_get::<Option<i64>, _>(1)? else {
        return Ok((layout, None));
    };
    let progress = Progress {
        position: Position::new(unsigned(row.try_get(2)?)?),
        as_of: row.try_get::<Time, _>(3)?.0,
        cursor: row.try_get::<Vec<u8>, _>(4)?.into(),
    };
    Ok((layout, Some(Claim { shard, epoch: Epoch::new(unsigned(epoch)?), progress })))
}

/// One round trip. What the statement itself writes it does not see: the one who asks is told apart.
pub(super) async fn heartbeat(
    inner: Arc<Inner>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
) -> Result<Members> {
    let schema = inner.schema.as_str();
    let sql = format!(
        "with alive as ( \
             insert into {schema}.workers (view, worker, alive_until) \
             select view, $2, clock_timestamp() + $3 * interval '1 microsecond' \
             from {schema}.views where view = $1 \
             on conflict (view, worker) do update set alive_until = excluded.alive_until \
             returning worker \
         ), kept as ( \
             update {schema}.shards \
             set lease_until = clock_timestamp() + $3 * interval '1 microsecond' \
             where view = $1 and owner = $2 returning shard \
         ), gone as ( \
             delete from {schema}.workers where view = $1 and worker <> $2 \
                 and alive_until < clock_timestamp() - interval '1 hour' \
         ) select array(select worker from {schema}.workers where view = $1 and worker <> $2 \
                            and alive_until > clock_timestamp() \
                        union all select worker from alive order by 1), \
                  array(select case when k.shard is not null then $2 \
                            when s.owner <> $2 and s.lease_until > clock_timestamp() then s.owner \
                        end from {schema}.shards s left join kept k using (shard) \
                        where s.view = $1 order by s.shard)"
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(worker.as_str())
        .bind(micros(lease));
    let row = inner.lanes.fetch_one(query).await.map_err(classify("signing in"))?;
    let roll = roll(&row).map_err(classify("signing in"))?;
    if roll.workers.is_empty() { Err(missing(&view)) } else { Ok(roll) }
}

fn roll(row: &PgRow) -> Result<Members, sqlx::Error> {
    let (workers, holders): (Vec<String>, Vec<Option<String>>) = (row.try_get(0)?, row.try_get(1)?);
    let worker = |name| WorkerId::new(name).map_err(|error| sqlx::Error::Decode(Box::new(error)));
    Ok(Members {
        workers: workers.into_iter().map(worker).collect::<Result<_, _>>()?,
        holders: holders
            .into_iter()
            .map(|holder| holder.map(worker).transpose())
            .collect::<Result<_, _>>()?,
    })
}

pub(super) async fn release(
    inner: Arc<Inner>,
    view: ViewName,
    shard: ShardId,
    epoch: Epoch,
) -> Result<()> {
    let sql = format!(
        "update {}.shards set epoch = epoch + 1, owner = null, lease_until = null \
         where view = $1 and shard = $2 and epoch = $3",
        inner.schema.as_str()
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(shard.get().cast_signed())
        .bind(signed(epoch.get()));
    let released = inner.lanes.execute(query).await;
    released.map(drop).map_err(classify("releasing a shard"))
}

pub(super) async fn leave(inner: Arc<Inner>, view: ViewName, worker: WorkerId) -> Result<()> {
    let schema = inner.schema.as_str();
    let sql = format!(
        "with gone as (delete from {schema}.workers where view = $1 and worker = $2) \
         update {schema}.shards set epoch = epoch + 1, owner = null, lease_until = null \
         where view = $1 and owner = $2"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(worker.as_str());
    let gone = inner.lanes.execute(query).await;
    gone.map(drop).map_err(classify("signing out"))
}

/// What the shards of a view have; none if it has never been opened.
pub(super) async fn held(inner: &Inner, view: &ViewName) -> Result<Vec<Held>> {
    let mut lane = inner.lanes.take().await.map_err(classify("reading a view"))?;
    let held = shards(&mut lane, &inner.schema, view, "").await?;
    lane.settle();
    Ok(held)
}

async fn shards(
    connection: &mut PgConnection,
    schema: &Schema,
    view: &ViewName,
    locking: &'static str,
) -> Result<Vec<Held>> {
    let sql = format!(
        "select epoch, position, as_of from {}.shards where view = $1 order by shard {locking}",
        schema.as_str()
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).fetch_all(connection).await;
    let held = |row: &PgRow| {
        Ok(Held {
            epoch: Epoch::new(unsigned(row.try_get(0)?)?),
            position: Position::new(unsigned(row.try_get(1)?)?),
            as_of: row.try_get::<Time, _>(2)?.0,
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
    let doing = "dividing a view anew";
    let schema = inner.schema.as_str();
    let mut lane = inner.lanes.take().await.map_err(classify(doing))?;
    let mut transaction = super::commit::begin(&mut lane, doing).await?;
    // Whoever divides at the same time deletes the shards that the next statement would wait for, and
    // who claims one must know how the view is divided.
    let lock = format!("select from {schema}.views where view = '{view}' for update");
    let locked = sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *transaction).await;
    locked.map_err(classify(doing))?;
    let held = shards(&mut transaction, &inner.schema, &view, "for update").await?;
    let at = division(&view, &claims, &held)?;
    let sql = format!(
        "delete from {schema}.shards where view = '{view}';
         update {schema}.views set layout = '{sharding}' where view = '{view}';"
    );
    let deleted = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await;
    deleted.map_err(classify(doing))?;
    let sql = format!(
        "insert into {schema}.shards (view, shard, epoch, position, as_of, cursor, layout) \
         select $1, shard, $2, $3, $4, '', '{sharding}' from generate_series(0, $5 - 1) shard"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(signed(at.epoch.get()))
        .bind(signed(at.position.get()))
        .bind(Time(at.as_of))
        .bind(sharding.shards.cast_signed())
        .execute(&mut *transaction)
        .await
        .map_err(classify(doing))?;
    transaction.commit().await.map_err(classify(doing))?;
    inner.following.changed(Hint::Other(view));
    Ok(())
}
