//! Views: a table each, whose rows are read with the progress of the same snapshot (R1).

use std::{collections::BTreeMap, sync::Arc};

use highwater_core::{
    Code, Error, Position, Result,
    domain::{ViewName, ViewSpec},
    port::{Progress, ShardStop, StoredRow, StoredView, ViewState},
    value::{ShardId, Sharding},
};
use sqlx::{Row, ValueRef, postgres::PgRow};

use super::{
    PostgresInner,
    error::{self, classify},
    read_batcher,
    row::{PgTimestamp, unsigned},
    table,
};
use crate::{fencing::view_missing, sql::stop::StoredStop};

const READING: &str = "reading a view";

pub(super) async fn open(
    inner: Arc<PostgresInner>,
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

/// The sharding of view $1, the progress and the stops of its shards, and the head of the log as the statement sees it,
/// null if the log is empty. The head need not be flushed: a reader only compares its progress with it.
macro_rules! progress_rows {
    () => {
        "(select layout, \
              array(select position from @schema@.shards where view = $1 order by shard) \
                  as positions, \
              array(select as_of from @schema@.shards where view = $1 order by shard) as as_ofs, \
              (select json_object_agg(shard, stopped) from @schema@.shards \
               where view = $1 and stopped is not null)::text as stops, \
              (select position from @schema@.events order by position desc limit 1) as head \
          from @schema@.views where view = $1) w"
    };
}

pub(super) use progress_rows;

pub(super) async fn read_state(inner: &PostgresInner, view: &ViewName) -> Result<ViewState> {
    Ok(read_progress(inner, view).await?.state)
}

async fn read_progress(inner: &PostgresInner, view: &ViewName) -> Result<StoredView> {
    let statement =
        concat!("select layout, positions, as_ofs, head, stops from ", progress_rows!());
    let query = sqlx::query(inner.schema.sql(statement)).bind(view.as_str());
    let row = inner.connections.fetch_optional(query).await;
    let row = row.map_err(classify(READING))?.ok_or_else(|| view_missing(view))?;
    let (state, head) = (decode_state(&row)?, decode_head(&row)?);
    Ok(StoredView { rows: Vec::new(), state, head: Some(head) })
}

/// Returns the state of a view that this process has opened before, if it still exists with its table.
async fn cached_state(inner: &PostgresInner, spec: &ViewSpec) -> Result<Option<ViewState>> {
    let statement = concat!(
        "select layout, positions, as_ofs, stops from ",
        progress_rows!(),
        " where not $2 or to_regclass('@schema@.view_@view@') is not null"
    );
    let sql = inner.schema.view_sql(statement, &spec.name);
    let query = sqlx::query(sql).bind(spec.name.as_str()).bind(spec.rows);
    let row = inner.connections.fetch_optional(query).await;
    row.map_err(classify(READING))?.map(|row| decode_state(&row)).transpose()
}

/// Reads rows. A read of a single row is batched with others if there are many at once.
pub(super) async fn read(
    inner: &Arc<PostgresInner>,
    view: &ViewName,
    keys: &[String],
) -> Result<StoredView> {
    if let [key] = keys {
        return read_batcher::read(inner, view, key).await;
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    read_rows(inner, view, &keys).await
}

/// Reads with one statement, so rows and progress are of one snapshot.
pub(super) async fn read_rows(
    inner: &PostgresInner,
    view: &ViewName,
    keys: &[&str],
) -> Result<StoredView> {
    let read = match keys {
        [] => return read_progress(inner, view).await,
        [key] => read_one(inner, view, key).await,
        keys => read_many(inner, view, keys).await,
    };
    match read {
        Ok(read) => read,
        Err(error) => Err(or_missing(inner, view, error, classify(READING)).await),
    }
}

/// Reads a single row. The statement has a row for each shard, in any order, and that of the first shard
/// has the value: another table, arrays or sorting would each cost the server 5 % of the statement's time
/// or more. For a single key the planner knows all that it needs, and plans the statement only once.
async fn read_one(
    inner: &PostgresInner,
    view: &ViewName,
    key: &str,
) -> Result<Result<StoredView>, sqlx::Error> {
    let statement = "select layout, position, as_of, \
             (select position from @schema@.events order by position desc limit 1), \
             case when shard = 0 then (select value from @schema@.view_@view@ where key = $2) end, \
             (select since from @schema@.parked_keys where view = $1 and key = $2), shard, \
             stopped::text \
         from @schema@.shards where view = $1";
    let query = sqlx::query(inner.schema.view_sql(statement, view)).bind(view.as_str()).bind(key);
    let found = inner.connections.fetch_all(query).await?;
    let Some(any) = found.first() else { return Ok(Err(view_missing(view))) };
    let mut shards = Vec::with_capacity(found.len());
    let mut stops = Vec::new();
    let mut stored = StoredRow::default();
    for row in &found {
        let shard: i32 = row.try_get(6)?;
        shards.push((shard, decode_progress(row.try_get(1)?, row.try_get(2)?)?));
        if shard == 0 {
            stored = decode_stored(row, 4)?;
        }
        if let Some(stop) = row.try_get(7)? {
            stops.push(StoredStop::decode(ShardId::new(shard.cast_unsigned()), stop)?);
        }
    }
    shards.sort_unstable_by_key(|(shard, _)| *shard);
    stops.sort_unstable_by_key(|stop| stop.shard);
    let shards = shards.into_iter().map(|(_, progress)| progress).collect();
    let sharding = any.try_get::<&str, _>(0)?.parse::<Sharding>().map_err(Error::from);
    Ok(sharding.and_then(|sharding| {
        let (state, head) = (ViewState { sharding, shards, stops }, decode_head(any)?);
        Ok(StoredView { rows: vec![stored], state, head: Some(head) })
    }))
}

/// Reads several rows. The statement has a row for each key, and the first one has the progress. The number
/// of keys is hidden from the planner, which would plan each read again.
async fn read_many(
    inner: &PostgresInner,
    view: &ViewName,
    keys: &[&str],
) -> Result<Result<StoredView>, sqlx::Error> {
    let statement = concat!(
        "select w.layout, case when k.place = 1 then w.positions end, \
             case when k.place = 1 then w.as_ofs end, case when k.place = 1 then w.head end, k.place, \
             (select value from @schema@.view_@view@ v where v.key = k.key), \
             (select since from @schema@.parked_keys p where p.view = $1 and p.key = k.key), \
             case when k.place = 1 then w.stops end as stops \
         from ",
        progress_rows!(),
        " cross join unnest((select $2::text[])) with ordinality k(key, place)"
    );
    let query = sqlx::query(inner.schema.view_sql(statement, view)).bind(view.as_str()).bind(keys);
    let rows = inner.connections.fetch_all(query).await?;
    Ok(match rows.is_empty() {
        true => Err(view_missing(view)),
        false => decode(&rows, keys.len()),
    })
}

fn decode(rows: &[PgRow], keys: usize) -> Result<StoredView> {
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

pub(super) fn decode_state(row: &PgRow) -> Result<ViewState> {
    let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    let (sharding, positions, as_ofs): (&str, Vec<i64>, Vec<PgTimestamp>) =
        read().map_err(classify(READING))?;
    let shards = positions.into_iter().zip(as_ofs);
    let shards = shards.map(|(position, as_of)| decode_progress(position, as_of));
    let shards = shards.collect::<Result<_, _>>().map_err(classify(READING))?;
    let stops = row.try_get("stops").and_then(decode_stops).map_err(classify(READING))?;
    Ok(ViewState { sharding: sharding.parse()?, shards, stops })
}

/// Decodes the stops by shard; null stands for none.
fn decode_stops(stops: Option<&str>) -> Result<Vec<ShardStop>, sqlx::Error> {
    let Some(stops) = stops else { return Ok(Vec::new()) };
    let stops: BTreeMap<u32, StoredStop> =
        serde_json::from_str(stops).map_err(|error| sqlx::Error::Decode(error.into()))?;
    stops.into_iter().map(|(shard, stop)| stop.of(ShardId::new(shard))).collect()
}

fn decode_progress(position: i64, as_of: PgTimestamp) -> Result<Progress, sqlx::Error> {
    let position = Position::new(unsigned(position)?);
    Ok(Progress { position, as_of: as_of.0, ..Progress::default() })
}

pub(super) fn decode_head(row: &PgRow) -> Result<Position> {
    let head: Result<Option<i64>, _> = row.try_get(3);
    let head = head.and_then(|head| unsigned(head.unwrap_or_default()));
    head.map(Position::new).map_err(classify(READING))
}

/// Decodes a row and its index among the keys.
fn decode_row(row: &PgRow) -> Result<(usize, StoredRow), sqlx::Error> {
    let index = unsigned(row.try_get(4)?)?.saturating_sub(1) as usize;
    Ok((index, decode_stored(row, 5)?))
}

/// Decodes the value and the position since which the key is parked, in two columns.
pub(super) fn decode_stored(row: &PgRow, first: usize) -> Result<StoredRow, sqlx::Error> {
    let value = row.try_get_raw(first)?;
    // The wire format of JSON is its text.
    let value = match value.is_null() {
        true => None,
        false => Some(value.as_bytes().map_err(sqlx::Error::Decode)?.to_vec().into()),
    };
    let since: Option<i64> = row.try_get(first + 1)?;
    let parked_since = since.map(unsigned).transpose()?.map(Position::new);
    Ok(StoredRow { value, parked_since })
}

/// Converts the error of a statement that failed because the table of the view is missing: the view may
/// never have been opened.
pub(super) async fn or_missing(
    inner: &PostgresInner,
    view: &ViewName,
    error: sqlx::Error,
    otherwise: impl FnOnce(sqlx::Error) -> Error,
) -> Error {
    if error::is_missing_table(&error)
        && let Err(missing) = read_state(inner, view).await
        && missing.code() == Code::VIEW_MISSING
    {
        return missing;
    }
    otherwise(error)
}
