//! Generations of views: the change of the live one, and the removal of another one (R5).

use std::sync::Arc;

use highwater_core::{Position, Result, domain::ViewName};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{
    PostgresInner,
    commit::begin,
    error::{classify, classify_view},
    options::Schema,
    table::lock_views,
};
use crate::{
    fencing::{ShardState, may_promote, view_missing},
    sql::{
        generation::{PROMOTING, REMOVING},
        row::SqlRow as _,
        shard::decode_shards,
        view_changes::ViewChange,
    },
};

/// A generation as the table of views has it.
struct FoundGeneration {
    stored: String,
    number: i64,
    is_live: bool,
    complete_at: Position,
    has_rows: bool,
}

/// Reads the generations of a view, with this lock.
async fn find(
    connection: &mut PgConnection,
    schema: &Schema,
    view: &ViewName,
    lock: &'static str,
) -> sqlx::Result<Vec<FoundGeneration>> {
    let sql = schema.sql_with(
        "select view, generation, live, complete_at, \
             to_regclass(format('@schema@.%I', 'rows_' || view)) is not null \
         from @schema@.views where coalesce(generation_of, view) = $1 order by view @lock@",
        "@lock@",
        lock,
    );
    let rows = sqlx::query(sql).bind(view.as_str()).fetch_all(&mut *connection).await?;
    let decode = |row: &sqlx::postgres::PgRow| {
        Ok(FoundGeneration {
            stored: row.try_get(0)?,
            number: row.try_get(1)?,
            is_live: row.try_get(2)?,
            complete_at: row.position(3)?,
            has_rows: row.try_get(4)?,
        })
    };
    rows.iter().map(decode).collect()
}

/// A change of the live generation.
struct Promotion<'a> {
    connection: &'a mut PgConnection,
    schema: &'a Schema,
    view: &'a ViewName,
    generation: i64,
}

impl Promotion<'_> {
    /// Returns the new generation, unless it would show an older state; `None` in its place if it is live. Nothing is
    /// committed to shards that are locked.
    async fn compare(&mut self, lock: &'static str) -> Result<Option<Option<FoundGeneration>>> {
        let found = find(self.connection, self.schema, self.view, lock).await;
        let found = found.map_err(classify(PROMOTING))?;
        let is_live = |one: &FoundGeneration| one.is_live;
        let live = found.iter().find(|one| is_live(one)).map(|live| live.stored.clone());
        let number = self.generation;
        let Some(new) = found.into_iter().find(|one| one.number == number) else {
            let number = u32::try_from(number).unwrap_or_default();
            return Err(view_missing(&self.view.of_generation(number)));
        };
        if new.is_live {
            return Ok(Some(None));
        }
        let live = match live {
            Some(live) => self.shards(&live, lock).await?,
            None => Vec::new(),
        };
        let shards = self.shards(&new.stored, lock).await?;
        Ok(may_promote(new.complete_at, &shards, &live).then_some(Some(new)))
    }

    async fn shards(&mut self, stored: &str, lock: &'static str) -> Result<Vec<ShardState>> {
        let sql = self.schema.sql_with(
            "select epoch, position, as_of from @schema@.shards where view = $1 order by shard @lock@",
            "@lock@",
            lock,
        );
        let rows = sqlx::query(sql).bind(stored).fetch_all(&mut *self.connection).await;
        rows.and_then(|rows| decode_shards(&rows)).map_err(classify(PROMOTING))
    }

    async fn change(&mut self) -> Result<()> {
        let change = self.schema.sql(
            "update @schema@.views set live = generation = $2, \
                 promoted_at = case when generation = $2 then clock_timestamp() else promoted_at end \
             where coalesce(generation_of, view) = $1",
        );
        let change = sqlx::query(change).bind(self.view.as_str()).bind(self.generation);
        let changed = change.execute(&mut *self.connection).await;
        changed.map(drop).map_err(classify(PROMOTING))
    }
}

/// Compares without locks first, so that workers are not kept waiting for nothing. What plain SQL sees is replaced
/// before the shards are locked: that waits for those who read it.
pub(super) async fn promote(
    inner: Arc<PostgresInner>,
    view: ViewName,
    generation: u32,
) -> Result<bool> {
    let schema = &inner.schema;
    let generation = i64::from(generation);
    let mut connection = inner.view_connections.take().await.map_err(classify(PROMOTING))?;
    let mut first = Promotion { connection: &mut connection, schema, view: &view, generation };
    let new = match first.compare("").await? {
        Some(Some(new)) => new,
        other => {
            connection.keep();
            return Ok(other.is_some());
        }
    };
    let mut transaction = begin(&mut connection, PROMOTING).await?;
    lock_views(&mut transaction, schema).await?;
    if new.has_rows {
        let shown = show_rows(&mut transaction, schema, &view, &new.stored).await;
        shown.map_err(classify_view(PROMOTING, &view))?;
    }
    let mut promotion = Promotion { connection: &mut transaction, schema, view: &view, generation };
    match promotion.compare("for update").await? {
        None => return Ok(false),
        // Another process was faster.
        Some(None) => return Ok(true),
        Some(Some(_)) => promotion.change().await?,
    }
    transaction.commit().await.map_err(classify(PROMOTING))?;
    Ok(true)
}

/// Shows the rows of a generation to plain SQL under the name of its view.
pub(super) async fn show_rows(
    connection: &mut PgConnection,
    schema: &Schema,
    view: &ViewName,
    stored: &str,
) -> sqlx::Result<()> {
    let show = sqlx::query(schema.sql("select @schema@.show_rows($1, $2)"));
    show.bind(view.as_str()).bind(stored).execute(connection).await.map(drop)
}

pub(super) async fn remove(
    inner: Arc<PostgresInner>,
    view: ViewName,
    generation: u32,
) -> Result<bool> {
    let schema = &inner.schema;
    let stored = view.of_generation(generation);
    let mut connection = inner.view_connections.take().await.map_err(classify(REMOVING))?;
    let mut transaction = begin(&mut connection, REMOVING).await?;
    lock_views(&mut transaction, schema).await?;
    let all = find(&mut transaction, schema, &view, "for update").await;
    let all = all.map_err(classify(REMOVING))?;
    let found = all.iter().find(|found| found.number == i64::from(generation));
    let found = found.ok_or_else(|| view_missing(&stored))?;
    let in_use = schema.sql(
        "select exists (select from @schema@.workers \
                        where view = $1 and alive_until > clock_timestamp())",
    );
    let in_use = sqlx::query_scalar(in_use).bind(&found.stored).fetch_one(&mut *transaction).await;
    if found.is_live || in_use.map_err(classify(REMOVING))? {
        return Ok(false);
    }
    let number = schema.sql(
        "update @schema@.views set removed_through = greatest(removed_through, $2) \
         where coalesce(generation_of, view) = $1",
    );
    let number = sqlx::query(number).bind(view.as_str()).bind(i64::from(generation));
    number.execute(&mut *transaction).await.map_err(classify(REMOVING))?;
    for table in ["parked_events", "parked_keys", "workers", "shards", "views"] {
        let sql = format!("delete from {}.{table} where view = $1", schema.as_str());
        let delete = sqlx::query(AssertSqlSafe(sql)).bind(&found.stored);
        delete.execute(&mut *transaction).await.map_err(classify(REMOVING))?;
    }
    let drop_table = format!("drop table if exists {}.rows_{stored}", schema.as_str());
    let dropped = sqlx::raw_sql(AssertSqlSafe(drop_table)).execute(&mut *transaction).await;
    dropped.map_err(classify(REMOVING))?;
    transaction.commit().await.map_err(classify(REMOVING))?;
    inner.follower.changed(ViewChange::Other(stored));
    Ok(true)
}
