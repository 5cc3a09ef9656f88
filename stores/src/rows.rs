//! What rows and keys may be: on every store what the strictest of them takes.

use std::ops::Bound;

use highwater_core::{
    Result,
    domain::{Column, ViewName, ViewSpec},
    error::{Invalid, Source},
    port::{KEY_LIMIT, KeyRange, ParkChange, ViewCommit},
};
use serde::de::IgnoredAny;

/// Refuses what PostgreSQL would: a row that is no JSON, a key that it can't hold.
pub(crate) fn check(commit: &ViewCommit) -> Result<()> {
    check_keys(commit)?;
    for (key, row) in &commit.rows {
        if let Some(row) = row {
            let row = text(&commit.view, key, row)?;
            let no_json = |error| no_json(&commit.view, key, Source::new(error));
            serde_json::from_str::<IgnoredAny>(row).map_err(no_json)?;
        }
    }
    Ok(())
}

/// Refuses a commit with a key that no store could have.
pub(crate) fn check_keys(commit: &ViewCommit) -> Result<()> {
    commit.rows.iter().try_for_each(|(key, _)| check_key(key))?;
    commit.parked.iter().try_for_each(|change| check_key(key_of(change)))
}

/// A row as text, which JSON is.
pub(crate) fn text<'a>(view: &ViewName, key: &str, row: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(row).map_err(|error| no_json(view, key, Source::new(error)).into())
}

fn no_json(view: &ViewName, key: &str, why: Source) -> Invalid {
    let message = format!("the row {key:?} of view {view} is no JSON: {why}");
    Invalid::request(message).caused_by(why)
}

/// Refuses a key that no store could have: PostgreSQL's text has no NUL, and its indexes hold no long
/// ones.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if key.contains('\0') {
        return Err(Invalid::malformed("key", key, "it may not contain NUL").into());
    }
    if key.len() > KEY_LIMIT {
        return Err(Invalid::too_large("the key of a row", key.len(), KEY_LIMIT).into());
    }
    Ok(())
}

/// Refuses a range that begins or ends at a key that no store could have.
pub(crate) fn check_range(range: &KeyRange) -> Result<()> {
    [&range.from, &range.to].into_iter().try_for_each(|bound| match bound {
        Bound::Included(key) | Bound::Excluded(key) => check_key(key),
        Bound::Unbounded => Ok(()),
    })
}

/// A bound as SQL has it: the comparison that it stands for, and with what.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn compared<'a>(
    bound: &'a Bound<String>,
    included: &'static str,
    excluded: &'static str,
) -> Option<(&'static str, &'a str)> {
    match bound {
        Bound::Included(key) => Some((included, key)),
        Bound::Excluded(key) => Some((excluded, key)),
        Bound::Unbounded => None,
    }
}

fn key_of(change: &ParkChange) -> &str {
    match change {
        ParkChange::Park { key, .. }
        | ParkChange::Queue { key, .. }
        | ParkChange::Drain { key, .. } => key,
    }
}

/// An event can't wait behind a key that isn't parked: nobody would take it up again.
pub(crate) fn not_parked(view: &ViewName, key: &str) -> Invalid {
    Invalid::request(format!("no event of view {view} can wait behind {key:?}: it isn't parked"))
}

/// A column is there, but not as this program wants it.
pub(crate) fn other_kind(spec: &ViewSpec, column: &Column, found: &str) -> Invalid {
    let (view, name, kind) = (&spec.name, column.name, column.kind);
    let message = format!(
        "column {name} of view {view} should be {kind:?}, but is there as {found}: call the column \
         otherwise, or drop the one that is there"
    );
    Invalid::request(message)
}
