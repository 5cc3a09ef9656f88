//! The rules for rows and keys of views: every store accepts what the strictest one accepts.

use std::ops::Bound;

use highwater_core::{
    Result,
    domain::{Column, ViewName, ViewSpec},
    error::{Invalid, Source},
    port::{self, KeyRange, ParkChange, ViewCommit},
};
use serde::de::IgnoredAny;

use crate::columns::ColumnRules;

/// Refuses what PostgreSQL would refuse: a row that is not JSON.
pub(crate) fn check_json(commit: &ViewCommit) -> Result<()> {
    check_rows(commit, |key, row| {
        let not_json = |error| not_json(&commit.view, key, Source::new(error));
        serde_json::from_str::<IgnoredAny>(row).map_err(not_json)?;
        Ok(())
    })
}

/// Refuses rows that the columns of their view can't hold.
pub(crate) fn check_columns(commit: &ViewCommit, rules: &ColumnRules) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    check_rows(commit, |key, row| rules.check(&commit.view, key, row))
}

fn check_rows(commit: &ViewCommit, check: impl Fn(&str, &str) -> Result<()>) -> Result<()> {
    for (key, row) in &commit.rows {
        if let Some(row) = row {
            check(key, row_text(&commit.view, key, row)?)?;
        }
    }
    Ok(())
}

/// Refuses a commit with a key that no store could hold.
pub(crate) fn check_keys(commit: &ViewCommit) -> Result<()> {
    commit.rows.iter().try_for_each(|(key, _)| check_key(key))?;
    commit.parked.iter().try_for_each(|change| check_key(key_of(change)))
}

/// Returns a row as text.
pub(crate) fn row_text<'a>(view: &ViewName, key: &str, row: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(row).map_err(|error| not_json(view, key, Source::new(error)).into())
}

pub(crate) fn not_json(view: &ViewName, key: &str, why: Source) -> Invalid {
    let message = format!("the row {key:?} of view {view} is not JSON: {why}");
    Invalid::request(message).caused_by(why)
}

/// Refuses a key that no store could hold.
pub(crate) fn check_key(key: &str) -> Result<()> {
    Ok(port::check_key(key)?)
}

/// Refuses a range that begins or ends at a key that no store could hold.
pub(crate) fn check_range(range: &KeyRange) -> Result<()> {
    [&range.from, &range.to].into_iter().try_for_each(|bound| match bound {
        Bound::Included(key) | Bound::Excluded(key) => check_key(key),
        Bound::Unbounded => Ok(()),
    })
}

fn key_of(change: &ParkChange) -> &str {
    match change {
        ParkChange::Park { key, .. }
        | ParkChange::Queue { key, .. }
        | ParkChange::Drain { key, .. } => key,
    }
}

/// The error of an event that is queued behind a key that isn't parked: no worker would apply it.
pub(crate) fn not_parked(view: &ViewName, key: &str) -> Invalid {
    Invalid::request(format!(
        "no event of view {view} can be queued behind {key:?}: the key isn't parked"
    ))
}

/// The error of a column that exists with another kind than in the spec.
pub(crate) fn column_mismatch(spec: &ViewSpec, column: &Column, found: &str) -> Invalid {
    let Column { name, kind, .. } = column;
    let view = &spec.name;
    Invalid::request(format!(
        "column {name} of view {view} should be {kind:?}, but exists as {found}: give the column \
         another name, or drop the existing one"
    ))
}
