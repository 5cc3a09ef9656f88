//! The rows of a range of keys, page by page, each with one freshness.

use std::{
    future::{Future, IntoFuture},
    ops::{Bound, Deref, RangeBounds},
    pin::Pin,
};

use highwater_core::{
    Result,
    error::Invalid,
    port::KeyRange,
    read::{Reading, View},
};

use super::{
    demand::Over,
    lookup::{Asked, Lookup},
    many::Rows,
};

/// The rows of a range of keys.
#[derive(Debug, Clone)]
pub struct Within {
    range: KeyRange,
    limit: usize,
}

impl Within {
    pub(super) fn of<K: AsRef<str> + ?Sized>(range: &impl RangeBounds<K>, limit: usize) -> Self {
        let owned = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_owned());
        let (from, to) = (owned(range.start_bound()), owned(range.end_bound()));
        Self { range: KeyRange { from, to }, limit }
    }
}

impl Asked for Within {
    fn key(&self) -> &str {
        match &self.range.from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => "",
        }
    }
}

/// Some rows of a range. It dereferences to the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<V> {
    /// The rows in the order of the bytes of their keys, and which keys are parked.
    pub rows: Rows<V>,
    /// The key after which the next page begins; `None` if this was the last.
    pub next: Option<String>,
}

impl<V> Deref for Page<V> {
    type Target = Rows<V>;

    fn deref(&self) -> &Self::Target {
        &self.rows
    }
}

impl<V: View> Lookup<V, Within> {
    /// Goes on after this key: the `next` of the page before.
    pub fn following(mut self, key: impl Into<String>) -> Self {
        self.what.range.from = Bound::Excluded(key.into());
        self
    }
}

impl<V: View> IntoFuture for Lookup<V, Within> {
    type Output = Result<Reading<Page<V>>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// The first rows of the range, all of one moment. Their freshness is that of the shard that is least
    /// far: a row may be missing from any.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Within { range, limit } = self.what.clone();
            if limit == 0 {
                return Err(Invalid::request("a page of no rows can't be read").into());
            }
            let answer = self.ask(Over::Range(range, limit))?.answer().await?;
            let last = answer.rows.last().map(|(key, _)| key.clone());
            let next = last.filter(|_| answer.more);
            let page = Page { rows: Rows::of(answer.rows, answer.parked), next };
            Ok(Reading::new(page, answer.freshness).on(answer.basis).at(self.policy.level))
        })
    }
}
