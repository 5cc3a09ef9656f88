//! The rows of a range of keys, page by page, each with one freshness.

use std::{
    future::{Future, IntoFuture},
    ops::{Bound, Deref, RangeBounds},
    pin::Pin,
};

use highwater_core::{Result, consistency::Reading, domain::View, error::Invalid, port::KeyRange};

use super::{
    demand::Over,
    lookup::{ReadRequest, ReadScope},
    many::RowSet,
};

/// The rows of a range of keys.
#[derive(Debug, Clone)]
pub struct RowRange {
    range: KeyRange,
    limit: usize,
}

impl RowRange {
    pub(super) fn of<K: AsRef<str> + ?Sized>(range: &impl RangeBounds<K>, limit: usize) -> Self {
        let owned = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_owned());
        let (from, to) = (owned(range.start_bound()), owned(range.end_bound()));
        Self { range: KeyRange { from, to }, limit }
    }
}

impl ReadScope for RowRange {
    fn key(&self) -> &str {
        match &self.range.from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => "",
        }
    }
}

/// Some rows of a range. It dereferences to the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPage<V> {
    /// The rows in the order of the bytes of their keys, and which keys are parked.
    pub rows: RowSet<V>,
    /// The key after which the next page begins; `None` if this was the last.
    pub next: Option<String>,
}

impl<V> Deref for RowPage<V> {
    type Target = RowSet<V>;

    fn deref(&self) -> &Self::Target {
        &self.rows
    }
}

impl<V: View> ReadRequest<V, RowRange> {
    /// Goes on after this key: the `next` of the page before.
    pub fn following(mut self, key: impl Into<String>) -> Self {
        self.what.range.from = Bound::Excluded(key.into());
        self
    }
}

impl<V: View> IntoFuture for ReadRequest<V, RowRange> {
    type Output = Result<Reading<RowPage<V>>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// The first rows of the range, all of one moment. Their freshness is that of the shard that is least
    /// far: a row may be missing from any.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let RowRange { range, limit } = self.what.clone();
            if limit == 0 {
                return Err(Invalid::request("a page of no rows can't be read").into());
            }
            let answer = self.ask(Over::Range(range, limit))?.answer().await?;
            let last = answer.rows.last().map(|(key, _)| key.clone());
            let next = last.filter(|_| answer.more);
            let page = RowPage { rows: RowSet::of(answer.rows, answer.parked), next };
            Ok(Reading::new(page, answer.freshness)
                .with_basis(answer.basis)
                .with_level(self.policy.level))
        })
    }
}
