//! The findings of a verification.

use std::fmt;

use highwater_core::{Error, Position};

use crate::projection::Drift;

/// The findings of a verification. It lists as many of each kind as [`limit`](super::VerifyRequest::limit) allows, and counts
/// all.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The number of rows that were compared, or were missing.
    pub compared: u64,
    /// The least position at which a row was compared.
    pub from: Position,
    /// The greatest position at which a row was compared.
    pub through: Position,
    /// The number of times that events were folded from the log's beginning: more than 1 if not all rows fit in memory.
    pub passes: u64,
    /// The number of rows that are not the fold of their events.
    pub drifted: u64,
    /// The first of these rows.
    pub drift: Vec<Drift>,
    /// The number of parked keys, which are not compared: their rows lack events by intention (R4).
    pub parked_keys: u64,
    /// The first of them, each with the first event that is not in its row.
    pub parked: Vec<(String, Position)>,
    /// The number of keys that can't be verified.
    pub unverified_keys: u64,
    /// The first of them.
    pub unverified: Vec<UnverifiedKey>,
    /// The events that can't be decoded, and whose keys are therefore unknown. A worker that goes on skips them, and so
    /// does the comparison.
    pub unreadable: Vec<Position>,
    pub(super) limit: usize,
}

/// A key whose row can't be folded from the log, and so can't be compared: the policy of the worker is to skip an event
/// that can't be applied, or the view's code has changed since.
#[derive(Debug, Clone)]
pub struct UnverifiedKey {
    /// The key.
    pub key: String,
    /// The event that can't be applied, or the position at which the row can't be stored.
    pub position: Position,
    /// The reason.
    pub error: Error,
}

impl VerifyReport {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, from: Position::END, ..Self::default() }
    }

    /// Returns true if every row that could be compared is the fold of its events.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.drifted == 0
    }

    /// Returns the keys of the drift that is listed, to repair them.
    pub fn drifted_keys(&self) -> impl Iterator<Item = &str> {
        self.drift.iter().map(|drift| drift.key.as_str())
    }

    pub(super) fn add_compared(&mut self, position: Position) {
        self.compared += 1;
        self.from = self.from.min(position);
        self.through = self.through.max(position);
    }

    pub(super) fn add_drift(&mut self, drift: Drift) {
        self.drifted += 1;
        push_within(&mut self.drift, self.limit, drift);
    }

    pub(super) fn add_parked(&mut self, key: &str, since: Position) {
        self.parked_keys += 1;
        push_within(&mut self.parked, self.limit, (key.to_owned(), since));
    }

    pub(super) fn add_unverified(&mut self, key: UnverifiedKey) {
        self.unverified_keys += 1;
        push_within(&mut self.unverified, self.limit, key);
    }
}

fn push_within<T>(listed: &mut Vec<T>, limit: usize, found: T) {
    if listed.len() < limit {
        listed.push(found);
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, from, through, drifted, parked_keys, unverified_keys, .. } = self;
        write!(
            f,
            "{compared} rows compared from {from} to {through}: {drifted} drifted, {parked_keys} parked, \
             {unverified_keys} unverified"
        )
    }
}
