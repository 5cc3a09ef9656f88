//! Views: a table each, and the checkpoint that is committed with their rows (R1).

use bytes::Bytes;
use highwater_core::{
    Position, Result,
    error::Conflict,
    port::{Checkpoint, StoredView, ViewCommit, ViewName},
};
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use super::{
    Inner,
    error::classify,
    row::{Time, signed, unsigned},
};

pub(super) async fn open(inner: &Inner, view: &ViewName) -> Result<Checkpoint> {
    let schema = inner.schema.as_str();
    // Two processes that create a table at once would fail one of them, "if not exists" or not. Rows of
    // a view are written again and again: with room in their page the index need not be touched.
    let sql = format!(
        "select pg_advisory_xact_lock(hashtextextended('highwater views {schema}', 0));
         create table if not exists {schema}.view_{view} (
             key text collate \"C\" primary key, value bytea not null) with (fillfactor = 50);
         insert into {schema}.checkpoints (view, position, as_of)
         values ('{view}', 0, 'epoch') on conflict (view) do nothing"
    );
    let mut transaction = inner.pool.begin().await.map_err(classify("opening a view"))?;
    let created = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await;
    created.map_err(classify("opening a view"))?;
    transaction.commit().await.map_err(classify("opening a view"))?;
    Ok(read(inner, view, &[]).await?.checkpoint)
}

/// One statement, so rows and checkpoint are of one moment. There is a row also if no key is found.
pub(super) async fn read(inner: &Inner, view: &ViewName, keys: &[String]) -> Result<StoredView> {
    let schema = inner.schema.as_str();
    let sql = format!(
        "select c.position, c.as_of, k.ord, v.value from {schema}.checkpoints c \
         left join unnest($1::text[]) with ordinality k(key, ord) on true \
         left join {schema}.view_{view} v on v.key = k.key where c.view = $2"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(keys)
        .bind(view.as_str())
        .fetch_all(&inner.pool)
        .await
        .map_err(classify("reading a view"))?;
    decode(&rows, keys.len()).map_err(classify("reading a view"))
}

fn decode(rows: &[PgRow], keys: usize) -> Result<StoredView, sqlx::Error> {
    let mut stored = StoredView { rows: vec![None; keys], checkpoint: Checkpoint::default() };
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    stored.checkpoint = Checkpoint {
        position: Position::new(unsigned(first.try_get(0)?)?),
        as_of: first.try_get::<Time, _>(1)?.0,
    };
    for row in rows {
        let place: Option<i64> = row.try_get(2)?;
        let value: Option<Vec<u8>> = row.try_get(3)?;
        let place = place.and_then(|place| usize::try_from(place - 1).ok());
        if let Some(slot) = place.and_then(|place| stored.rows.get_mut(place)) {
            *slot = value.map(Bytes::from);
        }
    }
    Ok(stored)
}

/// One statement: if the checkpoint is not where it must be, nothing else happens either.
pub(super) async fn commit(inner: &Inner, commit: ViewCommit) -> Result<()> {
    let (schema, view) = (inner.schema.as_str(), &commit.view);
    let sql = format!(
        "with moved as ( \
             update {schema}.checkpoints set position = $1, as_of = $2 \
             where view = $3 and position = $4 returning 1 \
         ), written as ( \
             insert into {schema}.view_{view} (key, value) \
             select k, v from unnest($5::text[], $6::bytea[]) u(k, v) \
             where exists (select 1 from moved) \
             on conflict (key) do update set value = excluded.value \
         ), deleted as ( \
             delete from {schema}.view_{view} \
             where key = any($7) and exists (select 1 from moved) \
         ) select count(*) from moved"
    );
    let mut written: (Vec<&str>, Vec<&[u8]>) = Default::default();
    let mut deleted: Vec<&str> = Vec::new();
    for (key, value) in &commit.rows {
        match value {
            Some(value) => {
                written.0.push(key);
                written.1.push(value);
            }
            None => deleted.push(key),
        }
    }
    let moved: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(signed(commit.to.position.get()))
        .bind(Time(commit.to.as_of))
        .bind(view.as_str())
        .bind(signed(commit.from.get()))
        .bind(written.0)
        .bind(written.1)
        .bind(deleted)
        .fetch_one(&inner.pool)
        .await
        .map_err(classify("writing a view"))?;
    if moved == 1 {
        return Ok(());
    }
    let actual = read(inner, view, &[]).await?.checkpoint.position;
    Err(Conflict::Checkpoint { view: view.to_string(), expected: commit.from, actual }.into())
}
