//! All rows of a view in the order of their keys, folded from the log, with a bounded number of them in memory.

use std::{mem, ops::Bound};

use highwater_core::{
    Position, Result,
    domain::View,
    error::Conflict,
    port::{StoredRow, ViewState},
    value::Sharding,
};

use crate::{
    projection::{FoldedRow, LogFold, shard_of},
    read::{ViewSnapshot, ViewSource},
};

/// One pass over the log: the rows of the keys after one key, as many as fit in memory. They are folded on as the pages
/// of the view are read, so that each page is compared at its own position.
pub(super) struct RangePass<V> {
    fold: LogFold<V>,
    /// The position up to which the rows of each shard are folded.
    folded: Vec<Position>,
    sharding: Option<Sharding>,
    from: Bound<String>,
    /// The last key of the pass; `None` if all later keys fit in memory.
    last: Option<String>,
    max_rows: usize,
}

/// A row of a pass: as it is stored, and as it is folded.
pub(super) struct RowPair<V> {
    pub(super) key: String,
    pub(super) stored: StoredRow,
    pub(super) folded: Option<FoldedRow<V>>,
}

impl<V: View> RangePass<V> {
    /// Begins a pass with the keys from this bound on.
    pub(super) fn new(source: &ViewSource, from: Bound<String>, max_rows: usize) -> Result<Self> {
        Ok(Self {
            fold: LogFold::new(source.highwater.log(), &source.view)?,
            folded: Vec::new(),
            sharding: None,
            from,
            last: None,
            max_rows: max_rows.max(1),
        })
    }

    /// The lower bound of the keys that have not been compared.
    pub(super) fn from(&self) -> &Bound<String> {
        &self.from
    }

    /// The upper bound of the keys of the pass.
    pub(super) fn to(&self) -> Bound<String> {
        self.last.clone().map_or(Bound::Unbounded, Bound::Included)
    }

    /// Returns the events that could not be decoded so far.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = Position> + '_ {
        self.fold.unreadable.iter().copied()
    }

    /// Folds the rows up to the positions of the view's shards.
    ///
    /// # Errors
    /// [`Conflict`] if the view has been resharded, or folded again from its beginning.
    pub(super) async fn fold_to(&mut self, state: &ViewState) -> Result<()> {
        self.check_forward(state)?;
        let targets: Vec<Position> = state.shards.iter().map(|shard| shard.position).collect();
        self.folded.resize(targets.len(), Position::START);
        let through = targets.iter().copied().max().unwrap_or_default();
        let mut after = Position::START;
        while let Some(start) = self.next_due(after, &targets) {
            let Self { fold, folded, from, last, .. } = self;
            let is_due = |key: &str, position: Position| {
                let shard = shard_of(state.sharding, V::KEYED_BY, key).get() as usize;
                let [Some(folded), Some(target)] = [folded.get(shard), targets.get(shard)] else {
                    return false;
                };
                *folded < position && position <= *target && is_within(from, last.as_deref(), key)
            };
            after = fold.fold_page(start, through, &is_due).await?;
            self.keep_within_memory();
        }
        self.folded = targets;
        Ok(())
    }

    /// Returns the position after which a shard's rows lack events, at or after this one; `None` if none lacks any.
    fn next_due(&self, after: Position, targets: &[Position]) -> Option<Position> {
        let shards = self.folded.iter().zip(targets);
        let behind = shards.filter(|(folded, target)| folded < target && after < **target);
        behind.map(|(folded, _)| (*folded).max(after)).min()
    }

    fn check_forward(&mut self, state: &ViewState) -> Result<()> {
        let view = || V::NAME.to_owned();
        let expected = *self.sharding.get_or_insert(state.sharding);
        if expected != state.sharding {
            let actual = state.sharding;
            return Err(Conflict::Sharding { view: view(), expected, actual }.into());
        }
        let mut shards = self.folded.iter().zip(&state.shards);
        match shards.find(|(folded, shard)| shard.position < **folded) {
            Some((folded, shard)) => {
                let expected = *folded;
                let actual = shard.position;
                Err(Conflict::Checkpoint { view: view(), expected, actual }.into())
            }
            None => Ok(()),
        }
    }

    /// Leaves the last keys to the next pass if there are too many.
    fn keep_within_memory(&mut self) {
        while self.fold.rows.len() > self.max_rows {
            self.fold.rows.pop_last();
            self.last = self.fold.rows.last_key_value().map(|(key, _)| key.clone());
        }
    }

    /// Takes the rows of a page, and those that the log gives and the page lacks. Returns true if the pass has more.
    pub(super) fn take(&mut self, page: &ViewSnapshot) -> (Vec<RowPair<V>>, bool) {
        let page_end = page.rows.last().filter(|_| page.has_more).map(|(key, _)| key);
        let end = match (page_end, &self.last) {
            (Some(page_end), Some(last)) => Some(page_end.min(last).clone()),
            (page_end, last) => page_end.or(last.as_ref()).cloned(),
        };
        let is_taken = |key: &String| end.as_ref().is_none_or(|end| key <= end);
        let mut folded = match &end {
            Some(end) => {
                let mut later = self.fold.rows.split_off(end);
                let of_end = later.remove_entry(end);
                let mut earlier = mem::replace(&mut self.fold.rows, later);
                earlier.extend(of_end);
                earlier
            }
            None => mem::take(&mut self.fold.rows),
        };
        let stored = page.rows.iter().filter(|(key, _)| is_taken(key));
        let mut pairs: Vec<RowPair<V>> = stored
            .map(|(key, row)| RowPair {
                folded: folded.remove(key),
                key: key.clone(),
                stored: row.clone(),
            })
            .collect();
        pairs.extend(folded.into_iter().map(|(key, row)| RowPair {
            key,
            stored: StoredRow::default(),
            folded: Some(row),
        }));
        pairs.sort_by(|one, other| one.key.cmp(&other.key));
        let has_more = end.is_some() && end != self.last;
        self.from = end.map_or(Bound::Unbounded, Bound::Excluded);
        (pairs, has_more)
    }

    /// Returns the lower bound of the next pass; `None` if this one had the last key.
    pub(super) fn next(self) -> Option<Bound<String>> {
        self.last.map(Bound::Excluded)
    }
}

fn is_within(from: &Bound<String>, last: Option<&str>, key: &str) -> bool {
    let is_after = match from {
        Bound::Unbounded => true,
        Bound::Included(from) => key >= from.as_str(),
        Bound::Excluded(from) => key > from.as_str(),
    };
    is_after && last.is_none_or(|last| key <= last)
}
