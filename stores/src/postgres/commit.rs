//! Commits to a view: rows, parked keys, the transaction hook and the progress in one transaction (R1).

use std::sync::Arc;

use highwater_core::{Code, Error, Result, domain::ViewName, port::ViewCommit};
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};

use super::{
    PostgresHook, PostgresInner,
    error::{classify, classify_hook, classify_view, is_missing_table},
    parked,
    row::{PgTimestamp, signed},
    session::{BEGIN, BEGIN_WITH_HOOK},
    shard,
};
use crate::{
    fencing::{check_forward, refusal_of},
    rows::{check_columns, check_keys, row_text},
    sql::{view::read_state, view_changes::ViewChange},
};

const WRITING: &str = "writing a view";

/// Commits with one statement, and so in one round trip, unless there is more to write than rows.
pub(super) async fn commit(inner: Arc<PostgresInner>, commit: ViewCommit) -> Result<()> {
    check_forward(&commit)?;
    check_keys(&commit)?;
    check_columns(&commit, &inner.specs.rules(&commit.view))?;
    let hook = commit.hook.as_deref().map(PostgresHook::of).transpose()?;
    let is_moved = if hook.is_none() && commit.parked.is_empty() {
        let mut connection = inner.view_connections.take().await.map_err(classify(WRITING))?;
        let is_moved = advance(&inner, &mut connection, &commit).await?;
        connection.keep();
        is_moved
    } else {
        commit_in_transaction(&inner, &commit, hook).await?
    };
    if !is_moved {
        return Err(refusal_of(&commit, &shard::read_shards(&inner, &commit.view).await?));
    }
    inner.follower.changed(ViewChange::moved(&commit.view, commit.shard, &commit.to));
    Ok(())
}

/// Runs the hook first, as in an append: if it ends the transaction, only its own writes are stored. It
/// also keeps the lock of the shard short.
async fn commit_in_transaction(
    inner: &PostgresInner,
    commit: &ViewCommit,
    hook: Option<&PostgresHook>,
) -> Result<bool> {
    let mut connection = inner.view_connections.take().await.map_err(classify(WRITING))?;
    let begin = if hook.is_some() { BEGIN_WITH_HOOK } else { BEGIN };
    let mut transaction = connection.begin_with(begin).await.map_err(classify(WRITING))?;
    if let Some(hook) = hook {
        hook.run(&mut transaction, None).await?;
    }
    if !advance(inner, &mut transaction, commit).await? {
        return Ok(false);
    }
    parked::change(&mut transaction, &inner.schema, commit).await?;
    // A refusal at the end is that of a deferred constraint on the rows of the hook.
    let committed = transaction.commit().await;
    committed.map_err(|error| match hook {
        Some(_) => classify_hook(error.into()),
        None => classify(WRITING)(error),
    })?;
    Ok(true)
}

/// Begins a transaction that the server ends if it is idle.
pub(super) async fn begin<'c>(
    connection: &'c mut PgConnection,
    doing: &'static str,
) -> Result<Transaction<'c, Postgres>> {
    connection.begin_with(BEGIN).await.map_err(classify(doing))
}

const ADVANCE: &str = "\
with moved as (
    update @schema@.shards set position = $1, as_of = $2, cursor = $3, stopped = null
    where view = $4 and shard = $5 and epoch = $6 and position = $7 returning 1
) select count(*) from moved";

/// Says that it deletes rows, which triggers refuse to others.
///
/// The lengths of the arrays are hidden from the planner. Otherwise it would plan each commit again, which
/// takes longer than most commits.
const ADVANCE_WITH_ROWS: &str = "\
with moved as (
    update @schema@.shards set position = $1, as_of = $2, cursor = $3, stopped = null
    where view = $4 and shard = $5 and epoch = $6 and position = $7 returning 1
), written as (
    insert into @schema@.rows_@view@ (key, value)
    select k, v::json from unnest((select $8::text[]), (select $9::text[])) u(k, v)
    where exists (select 1 from moved)
    on conflict (key) do update set value = excluded.value
), deleted as (
    delete from @schema@.rows_@view@
    where key = any((select $10::text[] where set_config('highwater.deleting', 'on', true) = 'on')::text[])
        and exists (select 1 from moved)
) select count(*) from moved";

/// Moves the progress of the shard and writes the rows, in one statement. Returns false, and changes
/// nothing, if the shard has another epoch or position.
async fn advance(
    inner: &PostgresInner,
    connection: &mut PgConnection,
    commit: &ViewCommit,
) -> Result<bool> {
    let view = &commit.view;
    let changes = RowChanges::new(commit)?;
    let statement = if commit.rows.is_empty() { ADVANCE } else { ADVANCE_WITH_ROWS };
    let mut query = sqlx::query_scalar(inner.schema.view_sql(statement, view))
        .bind(signed(commit.to.position.get()))
        .bind(PgTimestamp(commit.to.as_of))
        .bind(&commit.to.cursor[..])
        .bind(view.as_str())
        .bind(commit.shard.get().cast_signed())
        .bind(signed(commit.epoch.get()))
        .bind(signed(commit.from.get()));
    if !commit.rows.is_empty() {
        query = query.bind(changes.keys).bind(changes.values).bind(changes.deleted);
    }
    let moved: Result<i64, _> = query.fetch_one(connection).await;
    match moved {
        Ok(moved) => Ok(moved == 1),
        Err(error) => Err(or_missing(inner, view, error).await),
    }
}

/// Converts the error of a commit. If the table of the view is missing, the view may never have been opened.
async fn or_missing(inner: &PostgresInner, view: &ViewName, error: sqlx::Error) -> Error {
    if is_missing_table(&error)
        && let Err(missing) = read_state(inner, view).await
        && missing.code() == Code::VIEW_MISSING
    {
        return missing;
    }
    classify_view(WRITING, view)(error)
}

/// The rows of a commit as arrays.
#[derive(Default)]
struct RowChanges<'a> {
    keys: Vec<&'a str>,
    values: Vec<&'a str>,
    deleted: Vec<&'a str>,
}

impl<'a> RowChanges<'a> {
    fn new(commit: &'a ViewCommit) -> Result<Self> {
        let mut changes = Self::default();
        for (key, value) in &commit.rows {
            match value {
                Some(value) => {
                    changes.keys.push(key);
                    changes.values.push(row_text(&commit.view, key, value)?);
                }
                None => changes.deleted.push(key),
            }
        }
        Ok(changes)
    }
}
