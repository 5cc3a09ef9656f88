//! Rows of a view in the order of their keys, with the progress of the same snapshot.

use highwater_core::{
    Result,
    domain::ViewName,
    port::{KeyRange, StoredRange},
};
use sqlx::{AssertSqlSafe, Row, sqlite::SqliteRow};

use super::{
    SqliteInner,
    error::classify,
    row::signed,
    view::{decode_head, decode_state, decode_stored, or_missing, progress_columns},
};
use crate::{fencing::view_missing, rows::sql_bound};

const READING: &str = "reading rows of a view";

/// Joins the keys that have a row or are parked. There is a row even if there is no key, for the progress.
const STATEMENT: &str = concat!(
    "select w.layout, ",
    progress_columns!(),
    ", k.key, v.value, p.since from @prefix@views w left join ( \
         select key from (select key from @prefix@view_@view@ where @range@ order by key limit ?2) \
         union \
         select key from (select key from @prefix@parked_keys where view = ?1 and @range@ \
                          order by key limit ?2) \
         order by key limit ?2 \
     ) k on true \
     left join @prefix@view_@view@ v on v.key = k.key \
     left join @prefix@parked_keys p on p.view = ?1 and p.key = k.key \
     where w.view = ?1 order by k.key"
);

/// Reads with one statement, so rows and progress are of one snapshot. One row more than requested shows
/// if there are more.
pub(super) async fn read(
    inner: &SqliteInner,
    view: &ViewName,
    range: &KeyRange,
    limit: usize,
) -> Result<StoredRange> {
    let from = sql_bound(&range.from, " and key >= ?3", " and key > ?3");
    let to = sql_bound(&range.to, " and key <= ?4", " and key < ?4");
    let AssertSqlSafe(sql) = inner.prefix.view_sql(STATEMENT, view);
    let sql = sql.replace("@range@", &format!("true{}{}", from.sql, to.sql));
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(signed(limit as u64).saturating_add(1))
        .bind(from.key)
        .bind(to.key);
    match inner.readers.fetch_all(query).await {
        Ok(rows) => decode(&rows, view, limit),
        Err(error) => Err(or_missing(inner, view, error).await),
    }
}

fn decode(rows: &[SqliteRow], view: &ViewName, limit: usize) -> Result<StoredRange> {
    let first = rows.first().ok_or_else(|| view_missing(view))?;
    let (state, head) = (decode_state(first)?, decode_head(first)?);
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let key: Option<String> = row.try_get(3).map_err(classify(READING))?;
        if let Some(key) = key {
            found.push((key, decode_stored(row, 4).map_err(classify(READING))?));
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(StoredRange { rows: found, more, state, head: Some(head) })
}
