//! The rows of named keys, each folded up to a position of its own.

use std::{collections::BTreeMap, sync::Arc};

use highwater_core::{
    Error, Position, Result, StreamId,
    domain::{KeyedBy, View, ViewName},
    port::EventStore,
};

use super::Pace;
use crate::projection::log_fold::{FoldedRow, LogFold};

/// The rows of named keys. Each stands at a position of its own, and can be folded on from there.
pub(crate) struct KeysFold<V> {
    fold: LogFold<V>,
    positions: BTreeMap<String, Position>,
}

impl<V: View> KeysFold<V> {
    pub(crate) fn new(log: &Arc<dyn EventStore>, view: &ViewName) -> Result<Self> {
        let fold = LogFold::new(log, view)?;
        Ok(Self { fold, positions: BTreeMap::new() })
    }

    /// Returns the row of a key.
    pub(crate) fn row(&self, key: &str) -> Option<&FoldedRow<V>> {
        self.fold.rows.get(key)
    }

    /// Removes the row of a key.
    pub(crate) fn take(&mut self, key: &str) -> Option<FoldedRow<V>> {
        self.positions.remove(key);
        self.fold.rows.remove(key)
    }

    /// Returns the events that could not be decoded so far.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = Position> + '_ {
        self.fold.unreadable.iter().copied()
    }

    /// Returns the first event that could not be decoded, with its error, if a row at this position may lack it. What was
    /// folded by a program that could decode it must not be written again without it.
    pub(crate) fn unreadable_before(&self, position: Position) -> Option<(Position, Error)> {
        let first = self.fold.unreadable.first().filter(|first| **first <= position)?;
        Some((*first, self.fold.first_unreadable.clone()?))
    }

    /// Folds the row of each of these keys up to its position. For a view keyed by stream only the streams of the keys
    /// are read, otherwise all events of the view. Before each key or page it waits as the pace says.
    pub(crate) async fn fold_to(
        &mut self,
        targets: &BTreeMap<String, Position>,
        pace: &mut Pace,
    ) -> Result<()> {
        self.forget_rows_beyond(targets);
        match V::KEYED_BY {
            KeyedBy::Stream(category) => self.fold_streams(category, targets, pace).await?,
            KeyedBy::Key => self.fold_log(targets, pace).await?,
        }
        self.positions.extend(targets.iter().map(|(key, position)| (key.clone(), *position)));
        Ok(())
    }

    /// Forgets rows that have later events than they should have: the view has been folded again from its beginning.
    fn forget_rows_beyond(&mut self, targets: &BTreeMap<String, Position>) {
        for (key, target) in targets {
            if self.position(key) > *target {
                self.fold.rows.remove(key);
                self.positions.remove(key);
            }
        }
    }

    fn position(&self, key: &str) -> Position {
        self.positions.get(key).copied().unwrap_or_default()
    }

    async fn fold_streams(
        &mut self,
        category: &str,
        targets: &BTreeMap<String, Position>,
        pace: &mut Pace,
    ) -> Result<()> {
        for (key, target) in targets {
            // A key that is no part of a stream's name has no events.
            let Ok(stream) = StreamId::new(category, key) else { continue };
            if self.position(key) < *target {
                pace.wait().await;
                self.fold.fold_stream(&stream, *target, &|other, _| other == key).await?;
            }
        }
        Ok(())
    }

    async fn fold_log(
        &mut self,
        targets: &BTreeMap<String, Position>,
        pace: &mut Pace,
    ) -> Result<()> {
        let behind = targets.iter().filter(|(key, target)| self.position(key) < **target);
        let behind: Vec<_> = behind.map(|(key, target)| (self.position(key), *target)).collect();
        let mut after = behind.iter().map(|(position, _)| *position).min().unwrap_or_default();
        let through = behind.iter().map(|(_, target)| *target).max().unwrap_or_default();
        let Self { fold, positions } = self;
        let is_due = |key: &str, position: Position| {
            let folded = positions.get(key).copied().unwrap_or_default();
            targets.get(key).is_some_and(|target| folded < position && position <= *target)
        };
        while after < through {
            pace.wait().await;
            after = fold.fold_page(after, through, &is_due).await?;
        }
        Ok(())
    }
}
