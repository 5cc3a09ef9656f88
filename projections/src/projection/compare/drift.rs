//! The verdict on one row.

use std::fmt;

use bytes::Bytes;
use highwater_core::{
    Position, Result,
    domain::{View, ViewName},
};
use serde_json::Value;

use super::{
    field_change::{FieldChange, changes},
    same_row::is_same_row,
};
use crate::projection::rows::{decode, encode};

/// A row that is not the fold of its events in the log (R6).
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The key of the row.
    pub key: String,
    /// The kind of difference.
    pub kind: DriftKind,
    /// The position up to which both rows have every event.
    pub position: Position,
    /// The row as it is stored; a text if it is not JSON, `None` if there is none.
    pub stored: Option<Value>,
    /// The row as it is folded from the log; `None` if its events give none.
    pub folded: Option<Value>,
    /// The fields that differ, from the stored row to the folded one.
    pub fields: Vec<FieldChange>,
}

/// The way in which a row differs from the fold of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriftKind {
    /// Both rows exist, and differ.
    Different,
    /// The log gives a row that the view lacks.
    Missing,
    /// The view has a row that the log doesn't give: its key has no events, or the last of them deleted it.
    Extra,
    /// The stored row can't be decoded, for this reason.
    Undecodable(String),
}

impl DriftKind {
    /// The name of the kind. Other than its text, it has nothing of the row.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Different => "different",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Undecodable(_) => "undecodable",
        }
    }
}

impl fmt::Display for DriftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Different => f.write_str("differs from its events"),
            Self::Missing => f.write_str("is missing"),
            Self::Extra => f.write_str("has no events"),
            Self::Undecodable(reason) => write!(f, "can't be decoded: {reason}"),
        }
    }
}

impl Drift {
    /// Returns the names of the row's fields that differ. Neither values nor what is within a field, such as the keys of a
    /// map: a log may not have them.
    pub(crate) fn field_names(&self) -> Vec<&str> {
        let fields = self.fields.iter();
        let mut names: Vec<&str> =
            fields.filter_map(|change| change.field.split('.').next()).collect();
        names.dedup();
        names
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, kind, position, .. } = self;
        write!(f, "row {key:?} {kind}, as of {position}")?;
        self.fields.iter().try_for_each(|field| write!(f, "; {field}"))
    }
}

/// The row as it is folded from the log, encoded as a worker would store it.
pub(crate) fn encode_folded<V: View>(
    view: &ViewName,
    key: &str,
    folded: Option<V>,
) -> Result<Option<Bytes>> {
    folded.map(|mut row| encode(view, key, &mut row)).transpose()
}

/// Compares a stored row with the folded one.
pub(crate) fn find_drift<V: View>(
    view: &ViewName,
    key: &str,
    stored: Option<&Bytes>,
    folded: Option<&Bytes>,
    position: Position,
) -> Option<Drift> {
    let kind = match (stored, folded) {
        (None, None) => return None,
        (None, Some(_)) => DriftKind::Missing,
        (Some(_), None) => DriftKind::Extra,
        (Some(stored), Some(folded)) if stored == folded => return None,
        (Some(stored), Some(folded)) => match decode::<V>(view, key, stored) {
            Err(error) => DriftKind::Undecodable(error.to_string()),
            Ok(_) if is_same_row::<V>(view, key, stored, folded) => return None,
            Ok(_) => DriftKind::Different,
        },
    };
    let [stored, folded] = [stored, folded].map(|row| row.map(shown));
    let fields = changes(stored.as_ref(), folded.as_ref());
    Some(Drift { key: key.to_owned(), kind, position, stored, folded, fields })
}

/// A row as it is shown: bytes that are not JSON as a text.
pub(crate) fn shown(row: &Bytes) -> Value {
    serde_json::from_slice(row)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(row).into_owned()))
}
