//! Commits to a view: rows, parked keys, the transaction hook and the progress in one transaction (R1).

use std::sync::Arc;

use highwater_core::{Result, port::ViewCommit};
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    SqliteHook, SqliteInner,
    error::{classify, classify_hook, classify_view},
    options::Prefix,
    parked,
    row::{json, signed},
    shard,
};
use crate::{
    fencing::{check_forward, refusal_of},
    rows::{check_columns, check_json, check_keys},
    sql::view_changes::ViewChange,
};

const WRITING: &str = "writing a view";

/// Runs the hook first, as in an append: if it ends the transaction, only its own writes are stored.
pub(super) async fn commit(inner: Arc<SqliteInner>, commit: ViewCommit) -> Result<()> {
    check_forward(&commit)?;
    check_keys(&commit)?;
    check_json(&commit)?;
    check_columns(&commit, &inner.specs.rules(&commit.view))?;
    let hook = commit.hook.as_deref().map(SqliteHook::of).transpose()?;
    let prefix = &inner.prefix;
    let view = &commit.view;
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(WRITING))?;
    if let Some(hook) = hook {
        hook.run(&mut transaction, None).await?;
    }
    if !advance(&mut transaction, prefix, &commit).await.map_err(classify(WRITING))? {
        let shards = shard::read_shards(&mut transaction, prefix, view).await?;
        return Err(refusal_of(&commit, &shards));
    }
    write_rows(&mut transaction, prefix, &commit).await.map_err(classify_view(WRITING, view))?;
    delete_rows(&mut transaction, prefix, &commit).await.map_err(classify_view(WRITING, view))?;
    parked::change(&mut transaction, prefix, &commit, inner.clock.now()).await?;
    let committed = transaction.commit().await;
    committed.map_err(|error| match hook {
        Some(_) => classify_hook(error.into()),
        None => classify(WRITING)(error),
    })?;
    inner.follower.changed(&ViewChange::moved(view, commit.shard, &commit.to));
    Ok(())
}

/// Moves the progress of the shard. Returns false if the shard has another epoch or position.
async fn advance(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
) -> Result<bool, sqlx::Error> {
    let sql = prefix.sql(
        "update @prefix@shards set position = ?, as_of = ?, cursor = ?, stopped = null \
         where view = ? and shard = ? and epoch = ? and position = ?",
    );
    let moved = sqlx::query(sql)
        .bind(signed(commit.to.position.get()))
        .bind(commit.to.as_of.as_microsecond())
        .bind(&commit.to.cursor[..])
        .bind(commit.view.as_str())
        .bind(commit.shard.get())
        .bind(signed(commit.epoch.get()))
        .bind(signed(commit.from.get()))
        .execute(connection)
        .await?;
    Ok(moved.rows_affected() == 1)
}

/// The most bytes of values in one statement, unless a single value exceeds it.
const MAX_CHUNK: usize = 16 << 20;

/// Writes the rows in few statements: each is a message to the thread of the connection.
async fn write_rows(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
) -> Result<(), sqlx::Error> {
    let AssertSqlSafe(sql) = prefix.view_sql(
        "insert into @prefix@rows_@view@ (key, value) \
         select r.value ->> 0, cast(substr(?2, r.value ->> 1, r.value ->> 2) as text) \
         from jsonb_each(?1) r \
         where true on conflict (key) do update set value = excluded.value",
        &commit.view,
    );
    let mut rows: Vec<(&str, usize, usize)> = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    for (key, value) in &commit.rows {
        let Some(value) = value else { continue };
        if data.len() + value.len() > MAX_CHUNK {
            write_chunk(connection, &sql, &mut rows, &mut data).await?;
        }
        // The offset of the value in the blob, from 1, and its length.
        rows.push((key, data.len() + 1, value.len()));
        data.extend_from_slice(value);
    }
    write_chunk(connection, &sql, &mut rows, &mut data).await
}

async fn write_chunk(
    connection: &mut SqliteConnection,
    sql: &str,
    rows: &mut Vec<(&str, usize, usize)>,
    data: &mut Vec<u8>,
) -> Result<(), sqlx::Error> {
    let rows = std::mem::take(rows);
    let data = std::mem::take(data);
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(AssertSqlSafe(sql)).bind(json(&rows)?).bind(data).execute(connection).await?;
    Ok(())
}

/// Says that it deletes rows, which triggers refuse to others.
async fn delete_rows(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
) -> Result<(), sqlx::Error> {
    let deleted = commit.rows.iter().filter(|(_, value)| value.is_none());
    let keys: Vec<&str> = deleted.map(|(key, _)| key.as_str()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let sql = prefix.view_sql(
        "delete from @prefix@rows_@view@ where key in (select value from json_each(?))",
        &commit.view,
    );
    let [begin, end] = ["insert into @prefix@deleting values (1)", "delete from @prefix@deleting"];
    sqlx::query(prefix.sql(begin)).execute(&mut *connection).await?;
    sqlx::query(sql).bind(json(&keys)?).execute(&mut *connection).await?;
    sqlx::query(prefix.sql(end)).execute(connection).await?;
    Ok(())
}
