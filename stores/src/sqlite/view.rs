//! Views: a table each, whose rows are read with the progress of the same snapshot (R1).

use std::sync::Arc;

use highwater_core::{
    Code, Error, Position, Result,
    domain::{ViewName, ViewSpec},
    port::{Progress, ShardStop, StoredRow, StoredView, ViewState},
    value::{ShardId, Sharding},
};
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    SqliteInner,
    error::{self, classify},
    row::{json, timestamp, unsigned},
    table,
};
use crate::{fencing::view_missing, sql::stop::StoredStop};

const READING: &str = "reading a view";

pub(super) async fn open(
    inner: Arc<SqliteInner>,
    spec: ViewSpec,
    sharding: Sharding,
) -> Result<ViewState> {
    spec.validate()?;
    if inner.specs.contains(&spec)
        && let Some(state) = cached_state(&inner, &spec).await?
    {
        return Ok(state);
    }
    table::open(&inner, &spec, sharding).await?;
    inner.specs.insert(&spec);
    read_state(&inner, &spec.name).await
}

pub(super) async fn read_state(inner: &SqliteInner, view: &ViewName) -> Result<ViewState> {
    Ok(read_progress(inner, view).await?.state)
}

/// The columns with the progress and the stops of the shards of view ?1, as a JSON array, and the head of the log.
macro_rules! progress_columns {
    () => {
        "(select json_group_array(json_array(position, as_of, json(stopped)) order by shard) \
          from @prefix@shards where view = ?1), \
         (select coalesce(max(position), 0) from @prefix@events)"
    };
}

pub(super) use progress_columns;

async fn read_progress(inner: &SqliteInner, view: &ViewName) -> Result<StoredView> {
    let sql = inner.prefix.sql(concat!(
        "select layout, ",
        progress_columns!(),
        " from @prefix@views where view = ?1"
    ));
    let query = sqlx::query(sql).bind(view.as_str());
    let row = inner.readers.fetch_optional(query).await;
    let row = row.map_err(classify(READING))?.ok_or_else(|| view_missing(view))?;
    let (state, head) = (decode_state(&row)?, decode_head(&row)?);
    Ok(StoredView { rows: Vec::new(), state, head: Some(head) })
}

/// Returns the state of a view that this process has opened before, if it still exists with its table.
async fn cached_state(inner: &SqliteInner, spec: &ViewSpec) -> Result<Option<ViewState>> {
    let sql = inner.prefix.sql(concat!(
        "select layout, ",
        progress_columns!(),
        " from @prefix@views where view = ?1 \
         and (not ?2 or exists (select 1 from sqlite_master where name = ?3))"
    ));
    let query = sqlx::query(sql)
        .bind(spec.name.as_str())
        .bind(spec.rows)
        .bind(format!("{}view_{}", inner.prefix, spec.name));
    let row = inner.readers.fetch_optional(query).await;
    row.map_err(classify(READING))?.map(|row| decode_state(&row)).transpose()
}

/// Reads with one statement, so rows and progress are of one snapshot.
pub(super) async fn read(
    inner: &SqliteInner,
    view: &ViewName,
    keys: &[String],
) -> Result<StoredView> {
    let read = match keys {
        [] => return read_progress(inner, view).await,
        [key] => read_one(inner, view, key).await,
        keys => read_many(inner, view, keys).await,
    };
    match read {
        Ok(read) => read,
        Err(error) => Err(or_missing(inner, view, error).await),
    }
}

/// Reads a single key, which needs no list of keys.
async fn read_one(
    inner: &SqliteInner,
    view: &ViewName,
    key: &str,
) -> Result<Result<StoredView>, sqlx::Error> {
    let statement = concat!(
        "select layout, ",
        progress_columns!(),
        ", (select value from @prefix@view_@view@ where key = ?2), \
             (select since from @prefix@parked_keys where view = ?1 and key = ?2) \
         from @prefix@views where view = ?1"
    );
    let query = sqlx::query(inner.prefix.view_sql(statement, view)).bind(view.as_str()).bind(key);
    let Some(row) = inner.readers.fetch_optional(query).await? else {
        return Ok(Err(view_missing(view)));
    };
    let rows = vec![decode_stored(&row, 3)?];
    let progress = decode_state(&row).and_then(|state| Ok((state, decode_head(&row)?)));
    Ok(progress.map(|(state, head)| StoredView { rows, state, head: Some(head) }))
}

/// Reads several keys. The statement has a row for each key, and the first one has the progress.
async fn read_many(
    inner: &SqliteInner,
    view: &ViewName,
    keys: &[String],
) -> Result<Result<StoredView>, sqlx::Error> {
    let statement = "select w.layout, \
             case when k.key = 0 then \
                 (select json_group_array(json_array(position, as_of, json(stopped)) order by shard) \
                  from @prefix@shards where view = ?1) end, \
             case when k.key = 0 then (select coalesce(max(position), 0) from @prefix@events) end, \
             k.key, v.value, p.since \
         from @prefix@views w join json_each(?2) k \
         left join @prefix@view_@view@ v on v.key = k.value \
         left join @prefix@parked_keys p on p.view = ?1 and p.key = k.value where w.view = ?1";
    let sql = inner.prefix.view_sql(statement, view);
    let query = sqlx::query(sql).bind(view.as_str()).bind(json(&keys)?);
    let rows = inner.readers.fetch_all(query).await?;
    Ok(match rows.is_empty() {
        true => Err(view_missing(view)),
        false => decode(&rows, keys.len()),
    })
}

/// Converts the error of a statement that failed because the table of the view is missing: the view may
/// never have been opened.
pub(super) async fn or_missing(inner: &SqliteInner, view: &ViewName, error: sqlx::Error) -> Error {
    if error::is_missing_table(&error)
        && let Err(missing) = read_state(inner, view).await
        && missing.code() == Code::VIEW_MISSING
    {
        return missing;
    }
    classify(READING)(error)
}

fn decode(rows: &[SqliteRow], keys: usize) -> Result<StoredView> {
    let mut found = vec![StoredRow::default(); keys];
    let mut progress = Err(classify(READING)(sqlx::Error::RowNotFound));
    for row in rows {
        let (index, stored) = decode_row(row).map_err(classify(READING))?;
        if index == 0 {
            progress = decode_state(row).and_then(|state| Ok((state, decode_head(row)?)));
        }
        if let Some(slot) = found.get_mut(index) {
            *slot = stored;
        }
    }
    let (state, head) = progress?;
    Ok(StoredView { rows: found, state, head: Some(head) })
}

pub(super) fn decode_state(row: &SqliteRow) -> Result<ViewState> {
    let read = || Ok((row.try_get(0)?, decode_shards(row.try_get(1)?)?));
    let (sharding, (shards, stops)): (&str, _) = read().map_err(classify(READING))?;
    Ok(ViewState { sharding: sharding.parse()?, shards, stops })
}

fn decode_shards(shards: &str) -> Result<(Vec<Progress>, Vec<ShardStop>), sqlx::Error> {
    let stored: Vec<(i64, i64, Option<StoredStop>)> =
        serde_json::from_str(shards).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let (mut shards, mut stops) = (Vec::with_capacity(stored.len()), Vec::new());
    for (shard, (position, as_of, stop)) in (0..).map(ShardId::new).zip(stored) {
        let position = Position::new(unsigned(position)?);
        shards.push(Progress { position, as_of: timestamp(as_of)?, ..Progress::default() });
        stops.extend(stop.map(|stop| stop.of(shard)).transpose()?);
    }
    Ok((shards, stops))
}

pub(super) fn decode_head(row: &SqliteRow) -> Result<Position> {
    let head = row.try_get(2).and_then(unsigned).map(Position::new);
    head.map_err(classify(READING))
}

/// Decodes a row and its index among the keys.
fn decode_row(row: &SqliteRow) -> Result<(usize, StoredRow), sqlx::Error> {
    Ok((unsigned(row.try_get(3)?)? as usize, decode_stored(row, 4)?))
}

/// Decodes the value and the position since which the key is parked, in two columns.
pub(super) fn decode_stored(row: &SqliteRow, first: usize) -> Result<StoredRow, sqlx::Error> {
    let value: Option<Vec<u8>> = row.try_get(first)?;
    let since: Option<i64> = row.try_get(first + 1)?;
    let parked_since = since.map(unsigned).transpose()?.map(Position::new);
    Ok(StoredRow { value: value.map(Into::into), parked_since })
}
