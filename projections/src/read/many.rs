//! Several rows, with one freshness.

use std::{
    collections::HashSet,
    future::{Future, IntoFuture},
    ops::Deref,
    pin::Pin,
};

use highwater_core::{Position, Result, consistency::Reading, domain::View};

use super::{
    demand::Over,
    lookup::{ReadRequest, ReadScope},
};

/// The rows of several keys.
#[derive(Debug, Clone)]
pub struct ManyRows {
    keys: Vec<String>,
}

impl ManyRows {
    /// Each key once.
    pub(super) fn of(keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut seen = HashSet::new();
        let keys = keys.into_iter().map(Into::into);
        Self { keys: keys.filter(|key: &String| seen.insert(key.clone())).collect() }
    }
}

impl ReadScope for ManyRows {
    fn key(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }
}

/// Rows with their keys, and which keys are parked. It dereferences to the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSet<V> {
    /// The rows that there are.
    pub rows: Vec<(String, V)>,
    /// The keys that are parked, with the first event that is not in the row of each (R4).
    pub parked: Vec<(String, Position)>,
}

impl<V> RowSet<V> {
    pub(super) fn of(rows: Vec<(String, Option<V>)>, parked: Vec<(String, Position)>) -> Self {
        let found = rows.into_iter().filter_map(|(key, row)| Some((key, row?)));
        Self { rows: found.collect(), parked }
    }

    /// The row of a key.
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

impl<V: View> IntoFuture for ReadRequest<V, ManyRows> {
    type Output = Result<Reading<RowSet<V>>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// The rows that there are, in the order in which their keys were asked for, all of one moment. Their
    /// freshness is the least of them.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let answer = self.ask(Over::Keys(self.what.keys.as_slice().into()))?.answer().await?;
            let rows = RowSet::of(answer.rows, answer.parked);
            let reading = Reading::new(rows, answer.freshness).with_basis(answer.basis);
            Ok(reading.with_level(self.policy.level))
        })
    }
}
