//! Generations of views: the change of the live one, and the removal of another one (R5).

use std::sync::Arc;

use highwater_core::{Position, Result, domain::ViewName};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::{SqliteInner, error::classify, options::Prefix, shard::read_shards};
use crate::{
    fencing::{LeaseTerm, may_promote, view_missing},
    sql::{
        generation::{PROMOTING, REMOVING},
        row::SqlRow as _,
        view_changes::ViewChange,
    },
};

/// A generation, in a transaction.
struct Found {
    number: u32,
    is_live: bool,
    complete_at: Position,
    has_rows: bool,
}

async fn find(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    view: &ViewName,
) -> sqlx::Result<Vec<Found>> {
    let sql = prefix.sql(
        "select generation, live, complete_at, \
             exists (select 1 from sqlite_master where name = '@prefix@rows_' || view) \
         from @prefix@views where coalesce(generation_of, view) = ?",
    );
    let rows = sqlx::query(sql).bind(view.as_str()).fetch_all(&mut *connection).await?;
    let decode = |row: &sqlx::sqlite::SqliteRow| {
        Ok(Found {
            number: row.try_get(0)?,
            is_live: row.try_get(1)?,
            complete_at: row.position(2)?,
            has_rows: row.try_get(3)?,
        })
    };
    rows.iter().map(decode).collect()
}

pub(super) async fn promote(
    inner: Arc<SqliteInner>,
    view: ViewName,
    generation: u32,
) -> Result<bool> {
    let prefix = &inner.prefix;
    let stored = view.of_generation(generation);
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(PROMOTING))?;
    let all = find(&mut transaction, prefix, &view).await.map_err(classify(PROMOTING))?;
    let new = all.iter().find(|found| found.number == generation);
    let new = new.ok_or_else(|| view_missing(&stored))?;
    if new.is_live {
        return Ok(true);
    }
    let live = match all.iter().find(|found| found.is_live) {
        Some(live) => {
            read_shards(&mut transaction, prefix, &view.of_generation(live.number)).await?
        }
        None => Vec::new(),
    };
    let shards = read_shards(&mut transaction, prefix, &stored).await?;
    if !may_promote(new.complete_at, &shards, &live) {
        return Ok(false);
    }
    let change = prefix.sql(
        "update @prefix@views set live = generation = ?2, \
             promoted_at = case when generation = ?2 then ?3 else promoted_at end \
         where coalesce(generation_of, view) = ?1",
    );
    let now = inner.clock.now().as_microsecond();
    let change = sqlx::query(change).bind(view.as_str()).bind(generation).bind(now);
    change.execute(&mut *transaction).await.map_err(classify(PROMOTING))?;
    if new.has_rows {
        show_rows(&mut transaction, prefix, &view, &stored).await.map_err(classify(PROMOTING))?;
    }
    transaction.commit().await.map_err(classify(PROMOTING))?;
    Ok(true)
}

/// Shows the rows of a generation to plain SQL under the name of its view.
pub(super) async fn show_rows(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    view: &ViewName,
    stored: &ViewName,
) -> sqlx::Result<()> {
    let sql = format!(
        "drop view if exists {prefix}live_{view}; \
         create view {prefix}live_{view} as select * from {prefix}rows_{stored}"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

pub(super) async fn remove(
    inner: Arc<SqliteInner>,
    view: ViewName,
    generation: u32,
) -> Result<bool> {
    let prefix = &inner.prefix;
    let stored = view.of_generation(generation);
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(REMOVING))?;
    let all = find(&mut transaction, prefix, &view).await.map_err(classify(REMOVING))?;
    let found = all.iter().find(|found| found.number == generation);
    let found = found.ok_or_else(|| view_missing(&stored))?;
    let now = inner.clock.now();
    let in_use = prefix.sql(
        "select exists (select 1 from @prefix@workers \
                        where view = ?1 and alive_until > ?2 and coalesce(alive_at, ?2) <= ?3)",
    );
    let in_use = sqlx::query_scalar(in_use)
        .bind(stored.as_str())
        .bind(now.as_microsecond())
        .bind(LeaseTerm::latest_start(now).as_microsecond())
        .fetch_one(&mut *transaction)
        .await;
    if found.is_live || in_use.map_err(classify(REMOVING))? {
        return Ok(false);
    }
    let number = prefix.sql(
        "update @prefix@views set removed_through = max(removed_through, ?2) \
         where coalesce(generation_of, view) = ?1",
    );
    let number = sqlx::query(number).bind(view.as_str()).bind(generation);
    number.execute(&mut *transaction).await.map_err(classify(REMOVING))?;
    for table in ["parked_events", "parked_keys", "workers", "shards", "views"] {
        let sql = format!("delete from {prefix}{table} where view = ?");
        let delete = sqlx::query(AssertSqlSafe(sql)).bind(stored.as_str());
        delete.execute(&mut *transaction).await.map_err(classify(REMOVING))?;
    }
    let drop_table = format!("drop table if exists {prefix}rows_{stored}");
    let dropped = sqlx::raw_sql(AssertSqlSafe(drop_table)).execute(&mut *transaction).await;
    dropped.map_err(classify(REMOVING))?;
    transaction.commit().await.map_err(classify(REMOVING))?;
    inner.follower.changed(&ViewChange::Other(stored));
    Ok(true)
}
