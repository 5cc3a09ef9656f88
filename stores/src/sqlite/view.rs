//! Views: a table each, and the checkpoint that is committed with their rows (R1).

use bytes::Bytes;
use highwater_core::{
    Position, Result,
    error::{Conflict, Corrupt, Source},
    port::{Checkpoint, StoredView, ViewCommit, ViewName},
};
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    Inner,
    error::classify,
    options::Prefix,
    row::{signed, timestamp, unsigned},
};

pub(super) async fn open(inner: &Inner, view: &ViewName) -> Result<Checkpoint> {
    let prefix = &inner.prefix;
    let sql = format!(
        "create table if not exists {prefix}view_{view} (key text primary key, value blob not null) \
         without rowid;
         insert into {prefix}checkpoints (view, position, as_of) values ('{view}', 0, 0) \
         on conflict (view) do nothing"
    );
    let mut connection = inner.writing().await?;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut **connection)
        .await
        .map_err(classify("opening a view"))?;
    checkpoint(&mut connection, prefix, view).await
}

async fn checkpoint(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    view: &ViewName,
) -> Result<Checkpoint> {
    let sql = format!("select position, as_of from {prefix}checkpoints where view = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).fetch_one(connection).await;
    row.and_then(|row| decode_checkpoint(&row)).map_err(classify("reading a view"))
}

fn decode_checkpoint(row: &SqliteRow) -> Result<Checkpoint, sqlx::Error> {
    let position = Position::new(unsigned(row.try_get(0)?)?);
    Ok(Checkpoint { position, as_of: timestamp(row.try_get(1)?)? })
}

/// One statement, so rows and checkpoint are of one moment. There is a row also if no key is found.
pub(super) async fn read(inner: &Inner, view: &ViewName, keys: &[String]) -> Result<StoredView> {
    let prefix = &inner.prefix;
    let sql = format!(
        "select c.position, c.as_of, k.key, v.value from {prefix}checkpoints c \
         left join json_each(?) k on true \
         left join {prefix}view_{view} v on v.key = k.value where c.view = ?"
    );
    let json = serde_json::to_string(keys)
        .map_err(|error| Corrupt::value("the keys of a read", Source::new(error)))?;
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(json)
        .bind(view.as_str())
        .fetch_all(&inner.readers)
        .await
        .map_err(classify("reading a view"))?;
    decode(&rows, keys.len()).map_err(classify("reading a view"))
}

fn decode(rows: &[SqliteRow], keys: usize) -> Result<StoredView, sqlx::Error> {
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let mut stored = StoredView { rows: vec![None; keys], checkpoint: decode_checkpoint(first)? };
    for row in rows {
        let place: Option<i64> = row.try_get(2)?;
        let value: Option<Vec<u8>> = row.try_get(3)?;
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(slot) = place.and_then(|place| stored.rows.get_mut(place)) {
            *slot = value.map(Bytes::from);
        }
    }
    Ok(stored)
}

pub(super) async fn commit(inner: &Inner, commit: ViewCommit) -> Result<()> {
    let (prefix, view) = (&inner.prefix, &commit.view);
    let mut connection = inner.writing().await?;
    let transaction = connection.begin_writing().await;
    let mut transaction = transaction.map_err(classify("writing a view"))?;
    let moved = format!(
        "update {prefix}checkpoints set position = ?, as_of = ? where view = ? and position = ?"
    );
    let moved = sqlx::query(AssertSqlSafe(moved))
        .bind(signed(commit.to.position.get()))
        .bind(commit.to.as_of.as_microsecond())
        .bind(view.as_str())
        .bind(signed(commit.from.get()))
        .execute(&mut *transaction)
        .await
        .map_err(classify("writing a view"))?;
    if moved.rows_affected() != 1 {
        let actual = checkpoint(&mut transaction, prefix, view).await?.position;
        let (view, expected) = (view.to_string(), commit.from);
        return Err(Conflict::Checkpoint { view, expected, actual }.into());
    }
    write(&mut transaction, prefix, &commit).await.map_err(classify("writing a view"))?;
    delete(&mut transaction, prefix, &commit).await.map_err(classify("writing a view"))?;
    transaction.commit().await.map_err(classify("writing a view"))
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
         select r.value ->> 0, substr(?2, r.value ->> 1, r.value ->> 2) from jsonb_each(?1) r \
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
    let (rows, mut data) = (std::mem::take(rows), std::mem::take(data));
    if rows.is_empty() {
        return Ok(());
    }
    // An empty blob would be null, and so would what is taken from it.
    data.push(0);
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

fn json(array: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(array).map_err(|error| sqlx::Error::Encode(error.into()))
}
