//! Rows of a view by their keys' order, with the progress of one moment.

use highwater_core::{
    Result,
    domain::ViewName,
    port::{KeyRange, StoredRange},
};
use sqlx::{AssertSqlSafe, Row, sqlite::SqliteRow};

use super::{
    Inner,
    error::classify,
    options::Prefix,
    row::signed,
    view::{decode_head, decode_state, decode_stored, head, or_missing, shards},
};
use crate::{claims::missing, rows::compared};

const DOING: &str = "reading rows of a view";

/// One statement, so rows and progress are of one moment. There is a row also if there is no key, and one
/// more than asked for tells whether there are more.
pub(super) async fn read(
    inner: &Inner,
    view: &ViewName,
    range: &KeyRange,
    limit: usize,
) -> Result<StoredRange> {
    let prefix = &inner.prefix;
    let sql = format!(
        "select w.layout, {}, {}, k.key, v.value, p.since \
         from {prefix}views w left join ({}) k on true \
         left join {prefix}view_{view} v on v.key = k.key \
         left join {prefix}parked_keys p on p.view = ?1 and p.key = k.key \
         where w.view = ?1 order by k.key",
        shards(prefix),
        head(prefix),
        keys(prefix, view, range)
    );
    let bounds = [compared(&range.from, ">=", ">"), compared(&range.to, "<=", "<")];
    let [from, to] = bounds.map(|bound| bound.map(|(_, key)| key));
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(view.as_str())
        .bind(signed(limit as u64).saturating_add(1))
        .bind(from)
        .bind(to);
    let rows = inner.readers.fetch_all(query).await;
    match rows {
        Ok(rows) => decode(rows.as_slice(), view, limit),
        Err(error) => Err(or_missing(inner, view, error).await),
    }
}

/// The first keys of the range that have a row or are parked.
fn keys(prefix: &Prefix, view: &ViewName, range: &KeyRange) -> String {
    let mut within = String::from("true");
    for (place, bound) in
        [("?3", compared(&range.from, ">=", ">")), ("?4", compared(&range.to, "<=", "<"))]
    {
        if let Some((comparison, _)) = bound {
            within.push_str(&format!(" and key {comparison} {place}"));
        }
    }
    format!(
        "select key from (select key from {prefix}view_{view} where {within} \
                          order by key limit ?2) \
         union select key from (select key from {prefix}parked_keys where view = ?1 and {within} \
                                order by key limit ?2) \
         order by key limit ?2"
    )
}

fn decode(rows: &[SqliteRow], view: &ViewName, limit: usize) -> Result<StoredRange> {
    let first = rows.first().ok_or_else(|| missing(view))?;
    let (state, head) = (decode_state(first)?, decode_head(first)?);
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let key: Option<String> = row.try_get(3).map_err(classify(DOING))?;
        if let Some(key) = key {
            found.push((key, decode_stored(row, 4).map_err(classify(DOING))?));
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(StoredRange { rows: found, more, state, head: Some(head) })
}
