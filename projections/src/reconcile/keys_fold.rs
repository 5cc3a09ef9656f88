//! The rows of named keys, each folded up to a position of its own.

use std::collections::BTreeMap;

use highwater_core::{
    Position, Result, StreamId,
    domain::{KeyedBy, View},
};

use crate::{
    projection::{FoldedRow, LogFold},
    read::ViewSource,
};

/// The rows of named keys. Each stands at a position of its own, and can be folded on from there.
pub(super) struct KeysFold<V> {
    fold: LogFold<V>,
    positions: BTreeMap<String, Position>,
}

impl<V: View> KeysFold<V> {
    pub(super) fn new(source: &ViewSource) -> Result<Self> {
        let fold = LogFold::new(source.highwater.log(), &source.view)?;
        Ok(Self { fold, positions: BTreeMap::new() })
    }

    /// Returns the row of a key.
    pub(super) fn row(&self, key: &str) -> Option<&FoldedRow<V>> {
        self.fold.rows.get(key)
    }

    /// Removes the row of a key.
    pub(super) fn take(&mut self, key: &str) -> Option<FoldedRow<V>> {
        self.positions.remove(key);
        self.fold.rows.remove(key)
    }

    /// Returns the events that could not be decoded so far.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = Position> + '_ {
        self.fold.unreadable.iter().copied()
    }

    /// Folds the row of each of these keys up to its position. For a view keyed by stream only the streams of the keys
    /// are read, otherwise all events of the view.
    pub(super) async fn fold_to(&mut self, targets: &BTreeMap<String, Position>) -> Result<()> {
        self.forget_rows_beyond(targets);
        match V::KEYED_BY {
            KeyedBy::Stream(category) => self.fold_streams(category, targets).await?,
            KeyedBy::Key => self.fold_log(targets).await?,
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
    ) -> Result<()> {
        for (key, target) in targets {
            // A key that is no part of a stream's name has no events.
            let Ok(stream) = StreamId::new(category, key) else { continue };
            if self.position(key) < *target {
                self.fold.fold_stream(&stream, *target, &|other, _| other == key).await?;
            }
        }
        Ok(())
    }

    async fn fold_log(&mut self, targets: &BTreeMap<String, Position>) -> Result<()> {
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
            after = fold.fold_page(after, through, &is_due).await?;
        }
        Ok(())
    }
}
