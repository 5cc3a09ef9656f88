//! Views: a table each, whose rows are read with the progress of one moment (R1).

use std::sync::Arc;

use highwater_core::{
    Code, Error, Position, Result,
    domain::{ViewName, ViewSpec},
    port::{Progress, StoredRow, StoredView, ViewState},
    value::Sharding,
};
use sqlx::{AssertSqlSafe, Row, sqlite::SqliteRow};

use super::{
    Inner,
    error::{self, classify},
    options::Prefix,
    row::{timestamp, unsigned},
    table,
};
use crate::claims::missing;

const DOING: &str = "reading a view";

pub(super) async fn open(
    inner: Arc<Inner>,
    spec: ViewSpec,
    sharding: Sharding,
) -> Result<ViewState> {
    spec.validate()?;
    if inner.opened.has(&spec)
        && let Some(state) = as_opened(&inner, &spec).await?
    {
        return Ok(state);
    }
    table::open(&inner, &spec, sharding).await?;
    inner.opened.note(&spec);
    state(&inner, &spec.name).await
}

/// Where the shards of the view ?1 are, as a JSON array.
pub(super) fn shards(prefix: &Prefix) -> String {
    format!(
        "(select json_group_array(json_array(position, as_of) order by shard) \
         from {prefix}shards where view = ?1)"
    )
}

/// The head of the log, as far as a statement sees it.
pub(super) fn head(prefix: &Prefix) -> String {
    format!("(select coalesce(max(position), 0) from {prefix}events)")
}

pub(super) async fn state(inner: &Inner, view: &ViewName) -> Result<ViewState> {
    Ok(without_rows(inner, view).await?.state)
}

async fn without_rows(inner: &Inner, view: &ViewName) -> Result<StoredView> {
    let prefix = &inner.prefix;
    let sql = format!(
        "select layout, {}, {} from {prefix}views where view = ?1",
        shards(prefix),
        head(prefix)
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str());
    let row = inner.readers.fetch_optional(query).await;
    let row = row.map_err(classify(DOING))?.ok_or_else(|| missing(view))?;
    let (state, head) = (decode_state(&row)?, decode_head(&row)?);
    Ok(StoredView { rows: Vec::new(), state, head: Some(head) })
}

/// The state of a view that this process has opened before, if it is still there with its table.
async fn as_opened(inner: &Inner, spec: &ViewSpec) -> Result<Option<ViewState>> {
    let prefix = &inner.prefix;
    let sql = format!(
        "select layout, {} from {prefix}views where view = ?1 \
         and (not ?2 or exists (select 1 from sqlite_master where name = ?3))",
        shards(prefix)
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(spec.name.as_str())
        .bind(spec.rows)
        .bind(format!("{prefix}view_{}", spec.name));
    let row = inner.readers.fetch_optional(query).await;
    row.map_err(classify(DOING))?.map(|row| decode_state(&row)).transpose()
}

/// One statement, so rows and progress are of one moment.
pub(super) async fn read(inner: &Inner, view: &ViewName, keys: &[String]) -> Result<StoredView> {
    let read = match keys {
        [] => return without_rows(inner, view).await,
        [key] => one(inner, view, key).await,
        keys => many(inner, view, keys).await,
    };
    match read {
        Ok(read) => read,
        Err(error) => Err(or_missing(inner, view, error).await),
    }
}

/// One key needs no list of keys.
async fn one(inner: &Inner, view: &ViewName, key: &str) -> Result<Result<StoredView>, sqlx::Error> {
    let prefix = &inner.prefix;
    let sql = format!(
        "select layout, {}, {}, (select value from {prefix}view_{view} where key = ?2), \
             (select since from {prefix}parked_keys where view = ?1 and key = ?2) \
         from {prefix}views where view = ?1",
        shards(prefix),
        head(prefix)
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(key);
    let Some(row) = inner.readers.fetch_optional(query).await? else {
        return Ok(Err(missing(view)));
    };
    let rows = vec![decode_stored(&row, 3)?];
    let seen = decode_state(&row).and_then(|state| Ok((state, decode_head(&row)?)));
    Ok(seen.map(|(state, head)| StoredView { rows, state, head: Some(head) }))
}

/// There is a row for each key, found or not, and the first has the progress.
async fn many(
    inner: &Inner,
    view: &ViewName,
    keys: &[String],
) -> Result<Result<StoredView>, sqlx::Error> {
    let prefix = &inner.prefix;
    let sql = format!(
        "select w.layout, case when k.key = 0 then {} end, case when k.key = 0 then {} end, \
             k.key, v.value, p.since \
         from {prefix}views w join json_each(?2) k \
         left join {prefix}view_{view} v on v.key = k.value \
         left join {prefix}parked_keys p on p.view = ?1 and p.key = k.value where w.view = ?1",
        shards(prefix),
        head(prefix)
    );
    let json = serde_json::to_string(keys).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let query = sqlx::query(AssertSqlSafe(sql)).bind(view.as_str()).bind(json);
    let rows = inner.readers.fetch_all(query).await?;
    Ok(match rows.is_empty() {
        true => Err(missing(view)),
        false => decode(&rows, keys.len()),
    })
}

/// What an error means where the table of a view isn't there: perhaps nothing is.
pub(super) async fn or_missing(inner: &Inner, view: &ViewName, error: sqlx::Error) -> Error {
    if error::is_without_table(&error)
        && let Err(missing) = state(inner, view).await
        && missing.code() == Code::VIEW_MISSING
    {
        return missing;
    }
    classify(DOING)(error)
}

fn decode(rows: &[SqliteRow], keys: usize) -> Result<StoredView> {
    let mut found = vec![StoredRow::default(); keys];
    let mut seen = Err(classify(DOING)(sqlx::Error::RowNotFound));
    for row in rows {
        let (place, stored) = decode_row(row).map_err(classify(DOING))?;
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

pub(super) fn decode_state(row: &SqliteRow) -> Result<ViewState> {
    let read = || Ok((row.try_get(0)?, progress(row.try_get(1)?)?));
    let (layout, shards): (&str, _) = read().map_err(classify(DOING))?;
    Ok(ViewState { sharding: layout.parse()?, shards })
}

fn progress(shards: &str) -> Result<Vec<Progress>, sqlx::Error> {
    let shards: Vec<(i64, i64)> =
        serde_json::from_str(shards).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let shard = |(position, as_of)| {
        let position = Position::new(unsigned(position)?);
        Ok(Progress { position, as_of: timestamp(as_of)?, ..Progress::default() })
    };
    shards.into_iter().map(shard).collect()
}

pub(super) fn decode_head(row: &SqliteRow) -> Result<Position> {
    let head = row.try_get(2).and_then(unsigned).map(Position::new);
    head.map_err(classify(DOING))
}

/// A row and its place among the keys, from 0.
fn decode_row(row: &SqliteRow) -> Result<(usize, StoredRow), sqlx::Error> {
    Ok((unsigned(row.try_get(3)?)? as usize, decode_stored(row, 4)?))
}

/// The value and since when the key is parked, in two columns.
pub(super) fn decode_stored(row: &SqliteRow, first: usize) -> Result<StoredRow, sqlx::Error> {
    let value: Option<Vec<u8>> = row.try_get(first)?;
    let since: Option<i64> = row.try_get(first + 1)?;
    let parked_since = since.map(unsigned).transpose()?.map(Position::new);
    Ok(StoredRow { value: value.map(Into::into), parked_since })
}
