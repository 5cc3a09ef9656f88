//! Views: a table each, whose rows are read with the progress of one moment (R1).

use std::sync::Arc;

use highwater_core::{
    Code, Error, Position, Result,
    domain::{ViewName, ViewSpec},
    port::{Progress, StoredRow, StoredView, ViewState},
    value::Sharding,
};
use sqlx::{AssertSqlSafe, Row, ValueRef, postgres::PgRow};

use super::{
    Inner,
    error::{self, classify},
    gather,
    row::{Time, unsigned},
    table,
};
use crate::claims::missing;

const READING: &str = "reading a view";

pub(super) async fn open(inner: &Inner, spec: &ViewSpec, layout: Sharding) -> Result<ViewState> {
    spec.validate()?;
    if inner.opened.has(spec)
        && let Some(state) = as_opened(inner, spec).await?
    {
        return Ok(state);
    }
    table::open(inner, spec, layout).await?;
    inner.opened.note(spec);
    state(inner, &spec.name).await
}

/// The layout and how far the shards are of the view $1.
pub(super) fn views(schema: &str) -> String {
    format!(
        "(select layout, \
             array(select position from {schema}.shards where view = $1 order by shard) as positions, \
             array(select as_of from {schema}.shards where view = $1 order by shard) as as_ofs \
         from {schema}.views where view = $1) w"
    )
}

/// The head of the log, as far as a statement sees it; null if the log is empty. It need not be flushed yet: as where a reader should
/// be it is none the worse for that.
pub(super) fn head(schema: &str) -> String {
    format!("(select position from {schema}.events order by position desc limit 1)")
}

pub(super) async fn state(inner: &Inner, view: &ViewName) -> Result<ViewState> {
    Ok(without_rows(inner, view).await?.state)
}

async fn without_rows(inner: &Inner, view: &ViewName) -> Result<StoredView> {
    let schema = inner.schema.as_str();
    let sql = format!("select layout, positions, as_ofs, {} from {}", head(schema), views(schema));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str());
    let row = inner.lanes.fetch_optional(query).await;
    let row = row.map_err(classify(READING))?.ok_or_else(|| missing(view))?;
    let (state, head) = (decode_state(&row)?, decode_head(&row)?);
    Ok(StoredView { rows: Vec::new(), state, head: Some(head) })
}

/// The state of a view that this process has opened before, if it is still there with its table.
async fn as_opened(inner: &Inner, spec: &ViewSpec) -> Result<Option<ViewState>> {
    let schema = inner.schema.as_str();
    let sql = format!(
        "select layout, positions, as_ofs from {} \
         where not $2 or to_regclass('{schema}.view_{}') is not null",
        views(schema),
        spec.name
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(spec.name.as_str()).bind(spec.rows);
    let row = inner.lanes.fetch_optional(query).await;
    row.map_err(classify(READING))?.map(|row| decode_state(&row)).transpose()
}

/// A single row is read together with others if there are many such reads at once.
pub(super) async fn read(
    inner: &Arc<Inner>,
    view: &ViewName,
    keys: &[String],
) -> Result<StoredView> {
    if let [key] = keys {
        return gather::read(inner, view, key).await;
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    rows(inner, view, &keys).await
}

/// One statement, so rows and progress are of one moment.
pub(super) async fn rows(inner: &Inner, view: &ViewName, keys: &[&str]) -> Result<StoredView> {
    let read = match keys {
        [] => return without_rows(inner, view).await,
        [key] => one(inner, view, key).await,
        keys => many(inner, view, keys).await,
    };
    match read {
        Ok(read) => read,
        Err(error) => Err(or_missing(inner, view, error, classify(READING)).await),
    }
}

/// There is a row for each shard, in any order, and that of the first has the value: another table, arrays
/// and sorting would each cost the server a twentieth of what the statement takes, or more. For one key the planner knows all
/// that there is to know: it plans the statement once for all.
async fn one(inner: &Inner, view: &ViewName, key: &str) -> Result<Result<StoredView>, sqlx::Error> {
    let schema = inner.schema.as_str();
    let sql = format!(
        "select layout, position, as_of, {}, \
             case when shard = 0 then (select value from {schema}.view_{view} where key = $2) end, \
             (select since from {schema}.parked_keys where view = $1 and key = $2), shard \
         from {schema}.shards where view = $1",
        head(schema)
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(key);
    let found = inner.lanes.fetch_all(query).await?;
    let Some(any) = found.first() else { return Ok(Err(missing(view))) };
    let (mut shards, mut stored) = (Vec::with_capacity(found.len()), StoredRow::default());
    for row in &found {
        let shard: i32 = row.try_get(6)?;
        shards.push((shard, decode_progress(row.try_get(1)?, row.try_get(2)?)?));
        if shard == 0 {
            stored = decode_stored(row, 4)?;
        }
    }
    shards.sort_unstable_by_key(|(shard, _)| *shard);
    let shards = shards.into_iter().map(|(_, progress)| progress).collect();
    let layout = any.try_get::<&str, _>(0)?.parse::<Sharding>().map_err(Error::from);
    Ok(layout.and_then(|layout| {
        let (state, head) = (ViewState { sharding: layout, shards }, decode_head(any)?);
        Ok(StoredView { rows: vec![stored], state, head: Some(head) })
    }))
}

/// There is a row for each key, found or not, and the first has the progress. How many keys there are is
/// kept from the planner: it would plan each read anew.
async fn many(
    inner: &Inner,
    view: &ViewName,
    keys: &[&str],
) -> Result<Result<StoredView>, sqlx::Error> {
    let schema = inner.schema.as_str();
    let sql = format!(
        "select w.layout, case when k.place = 1 then w.positions end, \
             case when k.place = 1 then w.as_ofs end, case when k.place = 1 then {} end, k.place, \
             (select value from {schema}.view_{view} v where v.key = k.key), \
             (select since from {schema}.parked_keys p where p.view = $1 and p.key = k.key) \
         from {} cross join unnest((select $2::text[])) with ordinality k(key, place)",
        head(schema),
        views(schema)
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(keys);
    let rows = inner.lanes.fetch_all(query).await?;
    Ok(match rows.is_empty() {
        true => Err(missing(view)),
        false => decode(&rows, keys.len()),
    })
}

fn decode(rows: &[PgRow], keys: usize) -> Result<StoredView> {
    let mut found = vec![StoredRow::default(); keys];
    let mut seen = Err(classify(READING)(sqlx::Error::RowNotFound));
    for row in rows {
        let (place, stored) = decode_row(row).map_err(classify(READING))?;
        if place == 0 {
            seen = decode_state(row).and_then(|state| Ok((state, decode_head(row)?)));
        }
        if let Some(slot) = found.get_mut(place) {
            *slot = stored;
        }
    }
    let (state, head) = seen?;
    Ok(StoredView { rows: found, state, head: Some(head) })
}

pub(super) fn decode_state(row: &PgRow) -> Result<ViewState> {
    let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    let (layout, positions, as_ofs): (&str, Vec<i64>, Vec<Time>) =
        read().map_err(classify(READING))?;
    let shards = positions.into_iter().zip(as_ofs).map(|(at, as_of)| decode_progress(at, as_of));
    let shards = shards.collect::<Result<_, _>>().map_err(classify(READING))?;
    Ok(ViewState { sharding: layout.parse()?, shards })
}

fn decode_progress(position: i64, as_of: Time) -> Result<Progress, sqlx::Error> {
    let position = Position::new(unsigned(position)?);
    Ok(Progress { position, as_of: as_of.0, ..Progress::default() })
}

pub(super) fn decode_head(row: &PgRow) -> Result<Position> {
    let head: Result<Option<i64>, _> = row.try_get(3);
    let head = head.and_then(|head| unsigned(head.unwrap_or_default()));
    head.map(Position::new).map_err(classify(READING))
}

/// A row and its place among the keys, from 0.
fn decode_row(row: &PgRow) -> Result<(usize, StoredRow), sqlx::Error> {
    let place = unsigned(row.try_get(4)?)?.saturating_sub(1) as usize;
    Ok((place, decode_stored(row, 5)?))
}

/// The value and since when the key is parked, in two columns.
pub(super) fn decode_stored(row: &PgRow, first: usize) -> Result<StoredRow, sqlx::Error> {
    let value = row.try_get_raw(first)?;
    // On the wire JSON is its own text.
    let value = match value.is_null() {
        true => None,
        false => Some(value.as_bytes().map_err(sqlx::Error::Decode)?.to_vec().into()),
    };
    let since: Option<i64> = row.try_get(first + 1)?;
    let parked_since = since.map(unsigned).transpose()?.map(Position::new);
    Ok(StoredRow { value, parked_since })
}

/// What an error means where the table of a view isn't there: perhaps nothing is.
pub(super) async fn or_missing(
    inner: &Inner,
    view: &ViewName,
    error: sqlx::Error,
    otherwise: impl FnOnce(sqlx::Error) -> Error,
) -> Error {
    if error::is_without_table(&error)
        && let Err(missing) = state(inner, view).await
        && missing.code() == Code::VIEW_MISSING
    {
        return missing;
    }
    otherwise(error)
}
