//! Commits to a view: rows, parked keys, the application's own work and the progress in one (R1).

use std::sync::Arc;

use highwater_core::{Result, port::ViewCommit};
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    Inner, SqliteHook,
    error::{classify, refusing},
    options::Prefix,
    parked,
    row::signed,
    shard,
};
use crate::{
    claims::{goes_on, refusal},
    hints::Hint,
    rows::check,
};

const DOING: &str = "writing a view";

/// The application's own work comes first, as in an append: if it ends the transaction, nothing but
/// its own writes has been stored.
pub(super) async fn commit(inner: Arc<Inner>, commit: ViewCommit) -> Result<()> {
    goes_on(&commit)?;
    check(&commit)?;
    let work = commit.hook.as_deref().map(SqliteHook::of).transpose()?;
    let (prefix, view) = (&inner.prefix, &commit.view);
    let mut connection = inner.writing().await?;
    let mut transaction = connection.begin_writing().await.map_err(classify(DOING))?;
    if let Some(work) = work {
        work.run_alone(&mut transaction).await?;
    }
    if !advance(&mut transaction, prefix, &commit).await.map_err(classify(DOING))? {
        let held = shard::held(&mut transaction, prefix, view).await?;
        return Err(refusal(&commit, &held));
    }
    write(&mut transaction, prefix, &commit).await.map_err(refusing(DOING, view))?;
    delete(&mut transaction, prefix, &commit).await.map_err(refusing(DOING, view))?;
    parked::change(&mut transaction, prefix, &commit, inner.clock.now()).await?;
    transaction.commit().await.map_err(classify(DOING))?;
    inner.following.changed(&Hint::moved(view, commit.shard, &commit.to));
    Ok(())
}

/// Whether the shard was where it must be.
async fn advance(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
) -> Result<bool, sqlx::Error> {
    let sql = format!(
        "update {prefix}shards set position = ?, as_of = ?, cursor = ? \
         where view = ? and shard = ? and epoch = ? and position = ?"
    );
    let moved = sqlx::query(AssertSqlSafe(sql))
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

/// How many bytes of values go in one statement, unless a single one has more.
const CHUNK: usize = 16 << 20;

/// Few statements for all rows: each is a visit to the thread of the connection.
async fn write(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "insert into {prefix}view_{} (key, value) \
         select r.value ->> 0, cast(substr(?2, r.value ->> 1, r.value ->> 2) as text) \
         from jsonb_each(?1) r \
         where true on conflict (key) do update set value = excluded.value",
        commit.view
    );
    let (mut rows, mut data): (Vec<(&str, usize, usize)>, Vec<u8>) = Default::default();
    for (key, value) in &commit.rows {
        let Some(value) = value else { continue };
        if data.len() + value.len() > CHUNK {
            write_some(connection, &sql, &mut rows, &mut data).await?;
        }
        // Where the value begins in the blob, from 1, and how long it is.
        rows.push((key, data.len() + 1, value.len()));
        data.extend_from_slice(value);
    }
    write_some(connection, &sql, &mut rows, &mut data).await
}

async fn write_some(
    connection: &mut SqliteConnection,
    sql: &str,
    rows: &mut Vec<(&str, usize, usize)>,
    data: &mut Vec<u8>,
) -> Result<(), sqlx::Error> {
    let (rows, data) = (std::mem::take(rows), std::mem::take(data));
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(AssertSqlSafe(sql)).bind(json(&rows)?).bind(data).execute(connection).await?;
    Ok(())
}

async fn delete(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    commit: &ViewCommit,
) -> Result<(), sqlx::Error> {
    let deleted = commit.rows.iter().filter(|(_, value)| value.is_none());
    let keys: Vec<&str> = deleted.map(|(key, _)| key.as_str()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "delete from {prefix}view_{} where key in (select value from json_each(?))",
        commit.view
    );
    sqlx::query(AssertSqlSafe(sql)).bind(json(&keys)?).execute(connection).await?;
    Ok(())
}

pub(super) fn json(array: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(array).map_err(|error| sqlx::Error::Encode(error.into()))
}
