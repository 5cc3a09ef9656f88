//! Leases and epochs of shards (R1): what is the same on both databases. Claims and heartbeats are not:
//! PostgreSQL does each in one statement with its own time, SQLite in a transaction with the store's.

use std::sync::Arc;

use highwater_core::{
    Result,
    domain::ViewName,
    port::{Claim, Members, Progress, WorkerId},
    value::{Epoch, ShardId},
};

use super::{
    row::SqlRow,
    store::{
        SqlStore,
        SqlValue::{Number, Text},
    },
};
use crate::fencing::ShardState;

pub(crate) async fn release<S: SqlStore>(
    store: Arc<S>,
    view: ViewName,
    shard: ShardId,
    epoch: Epoch,
) -> Result<()> {
    let sql = store.sql(
        "update @schema@.shards set epoch = epoch + 1, owner = null, lease_until = null \
         where view = $1 and shard = $2 and epoch = $3",
    );
    let values = [Text(view.as_str()), Number(u64::from(shard.get())), Number(epoch.get())];
    store.execute("releasing a shard", sql, &values).await.map(drop)
}

/// Decodes a claim, in four columns: epoch, position, time and cursor.
pub(crate) fn decode_claim(shard: ShardId, row: &impl SqlRow, first: usize) -> sqlx::Result<Claim> {
    let progress = Progress {
        position: row.position(first + 1)?,
        as_of: row.time(first + 2)?,
        cursor: row.bytes(first + 3)?.into(),
    };
    Ok(Claim { shard, epoch: Epoch::new(row.number(first)?), progress })
}

/// Decodes the shards of a view, in three columns: epoch, position and time.
pub(crate) fn decode_shards(rows: &[impl SqlRow]) -> sqlx::Result<Vec<ShardState>> {
    rows.iter().map(decode_shard).collect()
}

fn decode_shard(row: &impl SqlRow) -> sqlx::Result<ShardState> {
    let epoch = Epoch::new(row.number(0)?);
    Ok(ShardState { epoch, position: row.position(1)?, as_of: row.time(2)? })
}

/// Decodes the names of workers and of the holders of shards.
pub(crate) fn decode_members(
    workers: Vec<String>,
    holders: Vec<Option<String>>,
) -> sqlx::Result<Members> {
    let worker = |name| WorkerId::new(name).map_err(|error| sqlx::Error::Decode(error.into()));
    let holder = |name: Option<_>| name.map(worker).transpose();
    Ok(Members {
        workers: workers.into_iter().map(worker).collect::<Result<_, _>>()?,
        holders: holders.into_iter().map(holder).collect::<Result<_, _>>()?,
    })
}
