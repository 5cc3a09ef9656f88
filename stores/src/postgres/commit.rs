//! Commits to a view: rows, parked keys, the application's own work and the progress in one (R1).

use std::sync::Arc;

use highwater_core::{Result, domain::ViewName, port::ViewCommit};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Transaction};

use super::{
    Inner, PostgresHook,
    error::{classify, refusing},
    parked,
    row::{Time, signed},
    shard,
    view::or_missing,
};
use crate::{
    claims::{goes_on, refusal},
    hints::Hint,
    rows::{check_keys, text},
};

const DOING: &str = "writing a view";

/// One statement and so one round trip, unless there is more to write than rows.
pub(super) async fn commit(inner: Arc<Inner>, commit: ViewCommit) -> Result<()> {
    goes_on(&commit)?;
    check_keys(&commit)?;
    let work = commit.hook.as_deref().map(PostgresHook::of).transpose()?;
    let is_moved = match work {
        None if commit.parked.is_empty() => {
            let mut lane = inner.lanes.take().await.map_err(classify(DOING))?;
            let is_moved = advance(&inner, &mut lane, &commit).await?;
            lane.settle();
            is_moved
        }
        work => commit_more(&inner, &commit, work).await?,
    };
    if !is_moved {
        return Err(refusal(&commit, &shard::held(&inner, &commit.view).await?));
    }
    inner.following.changed(Hint::moved(&commit.view, commit.shard, &commit.to));
    Ok(())
}

/// The application's own work comes first, as in an append: if it ends the transaction, nothing but
/// its own writes has been stored; and the shard is locked for as short a time as can be.
async fn commit_more(
    inner: &Inner,
    commit: &ViewCommit,
    work: Option<&PostgresHook>,
) -> Result<bool> {
    let mut lane = inner.lanes.take().await.map_err(classify(DOING))?;
    let mut transaction = begin(&mut lane, DOING).await?;
    if let Some(work) = work {
        work.run_alone(&mut transaction).await?;
    }
    if !advance(inner, &mut transaction, commit).await? {
        return Ok(false);
    }
    parked::change(&mut transaction, &inner.schema, commit).await?;
    transaction.commit().await.map_err(classify(DOING))?;
    Ok(true)
}

/// Begins a transaction that the server ends if it is left alone: the locks of a machine that is gone
/// must not keep others from taking its work over.
pub(super) async fn begin<'c>(
    connection: &'c mut PgConnection,
    doing: &'static str,
) -> Result<Transaction<'c, Postgres>> {
    let begin = "begin; set local idle_in_transaction_session_timeout = '60s'";
    connection.begin_with(begin).await.map_err(classify(doing))
}

/// One statement: if the shard is not where it must be, nothing else happens either.
async fn advance(
    inner: &Inner,
    connection: &mut PgConnection,
    commit: &ViewCommit,
) -> Result<bool> {
    let view = &commit.view;
    let rows = Rows::of(commit)?;
    let moved = moved(inner.schema.as_str());
    let sql = match commit.rows.is_empty() {
        true => format!("with moved as ({moved}) select count(*) from moved"),
        false => with_rows(inner.schema.as_str(), view, &moved),
    };
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(signed(commit.to.position.get()))
        .bind(Time(commit.to.as_of))
        .bind(&commit.to.cursor[..])
        .bind(view.as_str())
        .bind(commit.shard.get().cast_signed())
        .bind(signed(commit.epoch.get()))
        .bind(signed(commit.from.get()));
    if !commit.rows.is_empty() {
        query = query.bind(rows.keys).bind(rows.values).bind(rows.deleted);
    }
    let moved: Result<i64, _> = query.fetch_one(connection).await;
    match moved {
        Ok(moved) => Ok(moved == 1),
        Err(error) => Err(or_missing(inner, view, error, refusing(DOING, view)).await),
    }
}

fn moved(schema: &str) -> String {
    format!(
        "update {schema}.shards set position = $1, as_of = $2, cursor = $3 \
         where view = $4 and shard = $5 and epoch = $6 and position = $7 returning 1"
    )
}

/// How long the arrays are is kept from the planner: it would plan each commit anew, which takes longer than
/// most of them.
fn with_rows(schema: &str, view: &ViewName, moved: &str) -> String {
    format!(
        "with moved as ({moved}), written as ( \
             insert into {schema}.view_{view} (key, value) \
             select k, v::json from unnest((select $8::text[]), (select $9::text[])) u(k, v) \
             where exists (select 1 from moved) \
             on conflict (key) do update set value = excluded.value \
         ), deleted as ( \
             delete from {schema}.view_{view} \
             where key = any((select $10::text[])::text[]) and exists (select 1 from moved) \
         ) select count(*) from moved"
    )
}

/// The rows of a commit as the statement takes them.
#[derive(Default)]
struct Rows<'a> {
    keys: Vec<&'a str>,
    values: Vec<&'a str>,
    deleted: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn of(commit: &'a ViewCommit) -> Result<Self> {
        let mut rows = Self::default();
        for (key, value) in &commit.rows {
            match value {
                Some(value) => {
                    rows.keys.push(key);
                    rows.values.push(text(&commit.view, key, value)?);
                }
                None => rows.deleted.push(key),
            }
        }
        Ok(rows)
    }
}
