//! Rows that are folded afresh and compared, without knowing their type.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use highwater_core::{
    Position, Result,
    domain::{View, ViewName},
    port::{EventStore, StoredRow, ViewState},
};

use super::{Drift, KeysFold, Pace, encode_folded, find_drift};
use crate::projection::{
    log_fold::{FoldedRow, LogFold, LogKeys},
    shard_scope::progress_of,
};

/// Rows of a view, folded afresh from the log. What has been folded is kept: a later comparison goes on from there.
#[async_trait]
pub(crate) trait FreshRows: Send {
    /// Compares rows of one snapshot with the fold of their events, each at its position in the snapshot.
    async fn compare(
        &mut self,
        rows: &[(String, StoredRow)],
        state: &ViewState,
        pace: &mut Pace,
    ) -> Result<Findings>;

    /// Returns the keys of the first events after a position, at most so many events.
    async fn keys_after(&mut self, after: Position, events: usize) -> Result<LogKeys>;
}

/// Creates rows of a view that are folded afresh from this log; none is folded yet.
pub(crate) type FoldAfresh = fn(&Arc<dyn EventStore>, &ViewName) -> Result<Box<dyn FreshRows>>;

/// The findings about some rows.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The rows that are not the fold of their events.
    pub(crate) drift: Vec<Drift>,
    /// The row to write for each of them; `None` to delete it. A row that may have an event which can't be decoded now is
    /// not among them.
    pub(crate) repairs: Vec<(String, Option<Bytes>)>,
    /// The keys of the rows that are.
    pub(crate) right: Vec<String>,
    /// The keys about which there is nothing to say: they are parked, an event can't be applied to them, or neither row
    /// exists.
    pub(crate) undecided: Vec<String>,
}

impl Findings {
    /// Returns the number of rows that were compared.
    pub(crate) fn compared(&self) -> usize {
        self.drift.len() + self.right.len()
    }
}

/// The rows of a view of this type.
pub(crate) struct TypedFreshRows<V> {
    log: Arc<dyn EventStore>,
    view: ViewName,
    fold: KeysFold<V>,
}

impl<V: View> TypedFreshRows<V> {
    /// Creates the rows behind their port.
    ///
    /// # Errors
    /// That of the query of the view.
    pub(crate) fn create(log: &Arc<dyn EventStore>, view: &ViewName) -> Result<Box<dyn FreshRows>> {
        let fold = KeysFold::<V>::new(log, view)?;
        Ok(Box::new(Self { log: Arc::clone(log), view: view.clone(), fold }))
    }

    /// Adds the verdict on one row.
    fn judge(&self, key: &str, stored: &StoredRow, position: Position, findings: &mut Findings) {
        let Self { view, fold, .. } = self;
        let row = fold.row(key);
        let value = row.and_then(|row| row.value.clone());
        let folded = match is_applied(row) {
            true => encode_folded(view, key, value).ok(),
            false => None,
        };
        let Some(folded) = folded else { return findings.undecided.push(key.to_owned()) };
        let stored = stored.value.as_ref();
        match find_drift::<V>(view, key, stored, folded.as_ref(), position) {
            Some(drift) => {
                if fold.unreadable_before(position).is_none() {
                    findings.repairs.push((key.to_owned(), folded));
                }
                findings.drift.push(drift);
            }
            None if stored.is_some() => findings.right.push(key.to_owned()),
            None => findings.undecided.push(key.to_owned()),
        }
    }
}

#[async_trait]
impl<V: View> FreshRows for TypedFreshRows<V> {
    async fn compare(
        &mut self,
        rows: &[(String, StoredRow)],
        state: &ViewState,
        pace: &mut Pace,
    ) -> Result<Findings> {
        let mut findings = Findings::default();
        let mut targets = BTreeMap::new();
        for (key, row) in rows {
            // A parked row lacks events by intention (R4).
            match row.parked_since {
                Some(_) => findings.undecided.push(key.clone()),
                None => drop(targets.insert(key.clone(), position_of::<V>(state, key, row))),
            }
        }
        self.fold.fold_to(&targets, pace).await?;
        for (key, row) in rows {
            if let Some(position) = targets.get(key) {
                self.judge(key, row, *position, &mut findings);
            }
        }
        Ok(findings)
    }

    async fn keys_after(&mut self, after: Position, events: usize) -> Result<LogKeys> {
        LogFold::<V>::new(&self.log, &self.view)?.keys_of_page(after, events).await
    }
}

/// Returns true if every event of the row was applied.
fn is_applied<V>(row: Option<&FoldedRow<V>>) -> bool {
    row.is_none_or(|row| row.failure.is_none())
}

/// Returns the position up to which a stored row has every event: that of its shard, or the one before the first event
/// that waits, if its key is parked.
pub(crate) fn position_of<V: View>(state: &ViewState, key: &str, row: &StoredRow) -> Position {
    let position = progress_of(state, V::KEYED_BY, key).position;
    let parked = row.parked_since.map(|since| Position::new(since.get().saturating_sub(1)));
    parked.map_or(position, |parked| parked.min(position))
}
