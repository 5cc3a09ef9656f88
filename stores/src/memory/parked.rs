//! Parked keys, and the events that are held back behind them (R4).

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use highwater_core::{
    Position,
    error::Invalid,
    port::{ParkChange, ParkedKey, ViewCommit},
};
use jiff::Timestamp;

use crate::rows::not_parked;

/// By key, in order.
#[derive(Clone, Default)]
pub(super) struct ParkedEvents {
    keys: BTreeMap<String, ParkedEntry>,
}

#[derive(Clone)]
struct ParkedEntry {
    since: Position,
    error: String,
    attempts: u32,
    parked_at: Timestamp,
    events: BTreeSet<Position>,
    retry: bool,
}

impl ParkedEvents {
    pub(super) fn since(&self, key: &str) -> Option<Position> {
        self.keys.get(key).map(|waiting| waiting.since)
    }

    /// Returns the parked keys of a range.
    pub(super) fn within<'a>(
        &'a self,
        range: (Bound<&'a str>, Bound<&'a str>),
    ) -> impl Iterator<Item = &'a String> {
        self.keys.range::<str, _>(range).map(|(key, _)| key)
    }

    /// Returns the parked keys after a commit, which is refused before it changes anything.
    pub(super) fn after(&self, commit: &ViewCommit, now: Timestamp) -> Result<Self, Invalid> {
        let mut after = self.clone();
        for change in &commit.parked {
            match change {
                ParkChange::Park { key, since, error, attempts } => {
                    let waiting = after
                        .keys
                        .entry(key.clone())
                        .or_insert_with(|| ParkedEntry::new(*since, now));
                    waiting.error = error.clone();
                    waiting.attempts = *attempts;
                    waiting.retry = false;
                }
                ParkChange::Queue { key, position } => {
                    let waiting =
                        after.keys.get_mut(key).ok_or_else(|| not_parked(&commit.view, key))?;
                    waiting.events.insert(*position);
                }
                ParkChange::Drain { key, through } => after.drain(key, *through),
            }
        }
        Ok(after)
    }

    fn drain(&mut self, key: &str, through: Position) {
        let Some(waiting) = self.keys.get_mut(key) else { return };
        waiting.events.retain(|position| *position > through);
        match waiting.events.first() {
            Some(first) => waiting.since = *first,
            None => drop(self.keys.remove(key)),
        }
    }

    pub(super) fn page(&self, after: Option<&str>, limit: usize) -> Vec<ParkedKey> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys.range::<str, _>((from, Bound::Unbounded));
        keys.take(limit).map(|(key, waiting)| waiting.to_key(key)).collect()
    }

    pub(super) fn queued(&self, key: &str, after: Position, limit: usize) -> Vec<Position> {
        let events = self.keys.get(key).map(|waiting| &waiting.events);
        let later = events
            .into_iter()
            .flat_map(|events| events.range((Bound::Excluded(after), Bound::Unbounded)).copied());
        later.take(limit).collect()
    }

    /// Requests a retry. Returns false if the key isn't parked.
    pub(super) fn retry(&mut self, key: &str) -> bool {
        let waiting = self.keys.get_mut(key);
        waiting.map(|waiting| waiting.retry = true).is_some()
    }
}

impl ParkedEntry {
    /// Creates the entry of a key. The event for which it is parked is the first that is held back.
    fn new(since: Position, parked_at: Timestamp) -> Self {
        let events = BTreeSet::from([since]);
        Self { since, error: String::new(), attempts: 0, parked_at, events, retry: false }
    }

    fn to_key(&self, key: &str) -> ParkedKey {
        ParkedKey {
            key: key.to_owned(),
            since: self.since,
            error: self.error.clone(),
            attempts: self.attempts,
            parked_at: self.parked_at,
            queued: self.events.len() as u64,
            retry: self.retry,
        }
    }
}
