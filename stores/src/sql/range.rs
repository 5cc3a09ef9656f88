//! Rows of a view in the order of their keys, with the progress of the same snapshot.

use std::ops::Bound;

use highwater_core::{
    Result,
    domain::ViewName,
    port::{KeyRange, StoredRange},
};
use sqlx::AssertSqlSafe;

use super::{
    row::SqlRow,
    store::{
        SqlStore,
        SqlValue::{Number, OptionalText, Text},
    },
    view::{TableTries, decode_stored, decode_view},
};
use crate::fencing::view_missing;

const READING: &str = "reading rows of a view";

/// Reads with one statement, so rows and progress are of one snapshot. One row more than requested shows
/// if there are more.
pub(crate) async fn read<S: SqlStore>(
    store: &S,
    view: &ViewName,
    range: &KeyRange,
    limit: usize,
) -> Result<StoredRange> {
    let from = SqlBound::new(&range.from, " and key >= $3", " and key > $3");
    let to = SqlBound::new(&range.to, " and key <= $4", " and key < $4");
    let AssertSqlSafe(sql) = store.view_sql(S::RANGE, view);
    let sql = sql.replace("@range@", &format!("true{}{}", from.sql, to.sql));
    let values = [
        Text(view.as_str()),
        Number((limit as u64).saturating_add(1)),
        OptionalText(from.key),
        OptionalText(to.key),
    ];
    let mut tries = TableTries::default();
    loop {
        match store.fetch(AssertSqlSafe(sql.clone()), &values).await {
            Ok(rows) => return decode::<S>(&rows, view, limit),
            Err(error) => tries.look(store, view, error, READING).await?,
        }
    }
}

/// A bound of a range as a condition of a statement.
struct SqlBound<'a> {
    /// The condition; empty if there is no bound.
    sql: &'static str,
    /// The value to bind.
    key: Option<&'a str>,
}

impl<'a> SqlBound<'a> {
    fn new(bound: &'a Bound<String>, included: &'static str, excluded: &'static str) -> Self {
        match bound {
            Bound::Included(key) => Self { sql: included, key: Some(key) },
            Bound::Excluded(key) => Self { sql: excluded, key: Some(key) },
            Bound::Unbounded => Self { sql: "", key: None },
        }
    }
}

fn decode<S: SqlStore>(rows: &[S::Row], view: &ViewName, limit: usize) -> Result<StoredRange> {
    let first = rows.first().ok_or_else(|| view_missing(view))?;
    let progress = decode_view::<S>(first, 3, Vec::new())?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(key) = row.optional_text(0).map_err(S::classify(READING))? {
            let stored = decode_stored(row, 1).map_err(S::classify(READING))?;
            found.push((key.to_owned(), stored));
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(StoredRange { rows: found, more, state: progress.state, head: progress.head })
}
