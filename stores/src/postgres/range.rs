//! Rows of a view in the order of their keys, with the progress of the same snapshot.

use highwater_core::{
    Result,
    domain::ViewName,
    port::{KeyRange, StoredRange},
};
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use super::{
    PostgresInner,
    error::classify,
    row::signed,
    view::{decode_head, decode_state, decode_stored, or_missing, progress_rows},
};
use crate::{fencing::view_missing, rows::sql_bound};

const READING: &str = "reading rows of a view";

/// Joins the keys that have a row or are parked. There is a row even if there is no key, for the progress.
const STATEMENT: &str = concat!(
    "select w.layout, w.positions, w.as_ofs, w.head, k.key, v.value, p.since, w.stops from ",
    progress_rows!(),
    " left join ( \
         (select key from @schema@.view_@view@ where @range@ order by key limit $2) \
         union \
         (select key from @schema@.parked_keys where view = $1 and @range@ order by key limit $2) \
         order by key limit $2 \
     ) k on true \
     left join @schema@.view_@view@ v on v.key = k.key \
     left join @schema@.parked_keys p on p.view = $1 and p.key = k.key order by k.key"
);

/// Reads with one statement, so rows and progress are of one snapshot. One row more than requested shows
/// if there are more.
pub(super) async fn read(
    inner: &PostgresInner,
    view: &ViewName,
    range: &KeyRange,
    limit: usize,
) -> Result<StoredRange> {
    let from = sql_bound(&range.from, " and key >= $3", " and key > $3");
    let to = sql_bound(&range.to, " and key <= $4", " and key < $4");
    let AssertSqlSafe(sql) = inner.schema.view_sql(STATEMENT, view);
    let sql = sql.replace("@range@", &format!("true{}{}", from.sql, to.sql));
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(signed(limit as u64).saturating_add(1))
        .bind(from.key)
        .bind(to.key);
    match inner.connections.fetch_all(query).await {
        Ok(rows) => decode(&rows, view, limit),
        Err(error) => Err(or_missing(inner, view, error, classify(READING)).await),
    }
}

fn decode(rows: &[PgRow], view: &ViewName, limit: usize) -> Result<StoredRange> {
    let first = rows.first().ok_or_else(|| view_missing(view))?;
    let (state, head) = (decode_state(first)?, decode_head(first)?);
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let key: Option<String> = row.try_get(4).map_err(classify(READING))?;
        if let Some(key) = key {
            found.push((key, decode_stored(row, 5).map_err(classify(READING))?));
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(StoredRange { rows: found, more, state, head: Some(head) })
}
