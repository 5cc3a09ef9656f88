//! Answers with several rows: a set of keys, and a page of a range.

use std::{
    fmt::Display,
    future::IntoFuture,
    ops::{Bound, Deref},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use highwater_core::{
    Position, Result,
    consistency::Reading,
    domain::{View, ViewName},
    error::Invalid,
    port::StoredRow,
};

use super::{request::ReadRequest, scope::RowScope, source::ViewSnapshot};
use crate::job::decode;

/// Rows with their keys, and the keys that are parked. Dereferences to the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSet<V> {
    /// The rows that exist.
    pub rows: Vec<(String, V)>,
    /// The keys that are parked, with the first event that is not in the row of each (R4).
    pub parked: Vec<(String, Position)>,
}

impl<V> RowSet<V> {
    /// Returns the row of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        self.rows.iter().find(|(other, _)| other == key).map(|(_, row)| row)
    }
}

impl<V> Deref for RowSet<V> {
    type Target = [(String, V)];

    fn deref(&self) -> &Self::Target {
        &self.rows
    }
}

/// Some rows of a range. Dereferences to the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPage<V> {
    /// The rows in the order of the bytes of their keys, and the keys that are parked.
    pub rows: RowSet<V>,
    /// The key after which the next page begins; `None` if this was the last.
    pub next: Option<String>,
}

impl<V: View> RowPage<V> {
    /// Decodes the rows of a snapshot. A key that is parked may have no row.
    pub(super) fn decode(view: &ViewName, snapshot: ViewSnapshot) -> Result<Self> {
        let last = snapshot.rows.last().filter(|_| snapshot.has_more);
        let next = last.map(|(key, _)| key.clone());
        let mut rows = Vec::with_capacity(snapshot.rows.len());
        let mut parked = Vec::new();
        for (key, row) in Arc::unwrap_or_clone(snapshot.rows) {
            parked.extend(row.parked_since.map(|since| (key.clone(), since)));
            if let Some(value) = decode_row(view, &key, &row)? {
                rows.push((key, value));
            }
        }
        Ok(Self { rows: RowSet { rows, parked }, next })
    }
}

pub(super) fn decode_row<V: View>(
    view: &ViewName,
    key: &str,
    row: &StoredRow,
) -> Result<Option<V>> {
    row.value.as_ref().map(|value| decode(view, key, value)).transpose()
}

impl<V> Deref for RowPage<V> {
    type Target = RowSet<V>;

    fn deref(&self) -> &Self::Target {
        &self.rows
    }
}

impl<V: View> IntoFuture for ReadRequest<V, RowSet<V>> {
    type Output = Result<Reading<RowSet<V>>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Reads the rows that exist, in the order in which their keys were asked for, all of one moment. Their
    /// freshness is the least of them.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.plan()?.execute().await?.map(|page| page.rows)) })
    }
}

impl<V: View> ReadRequest<V, RowPage<V>> {
    /// Continues after this key: the `next` of the page before.
    pub fn following(mut self, key: impl Display) -> Self {
        if let RowScope::Range(range, _) = &mut self.scope {
            range.from = Bound::Excluded(key.to_string());
        }
        self
    }
}

impl<V: View> IntoFuture for ReadRequest<V, RowPage<V>> {
    type Output = Result<Reading<RowPage<V>>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Reads the first rows of the range, all of one moment. Their freshness is that of the shard that is least
    /// far: a row may be missing from any shard.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if let RowScope::Range(_, 0) = self.scope {
                return Err(Invalid::request("the limit of a range must be at least 1").into());
            }
            self.plan()?.execute().await
        })
    }
}
