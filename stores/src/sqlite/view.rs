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
    let write = format!("insert or replace into {prefix}view_{view} (key, value) values (?, ?)");
    let delete = format!("delete from {prefix}view_{view} where key = ?");
    for (key, value) in &commit.rows {
        let statement = match value {
            Some(value) => sqlx::query(AssertSqlSafe(write.as_str())).bind(key).bind(&value[..]),
            None => sqlx::query(AssertSqlSafe(delete.as_str())).bind(key),
        };
        statement.execute(&mut *transaction).await.map_err(classify("writing a view"))?;
    }
    transaction.commit().await.map_err(classify("writing a view"))
}
