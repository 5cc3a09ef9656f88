//! Rows of a view in the order of their keys, with the progress of the same snapshot.

use std::{collections::BTreeSet, ops::Bound};

use highwater_core::{
    Result,
    domain::ViewName,
    port::{KeyRange, StoredRange},
};

use super::view::MemoryViews;
use crate::fencing::has_no_rows;

impl MemoryViews {
    pub(super) fn range(
        &self,
        name: &ViewName,
        range: &KeyRange,
        limit: usize,
    ) -> Result<StoredRange> {
        let view = self.get(name)?;
        let rows = view.rows.as_ref().ok_or_else(|| has_no_rows(name))?;
        let mut keys: BTreeSet<&String> = BTreeSet::new();
        if !is_empty(range) {
            let within = (of(&range.from), of(&range.to));
            let found = rows.range::<str, _>(within).map(|(key, _)| key);
            keys.extend(found.take(limit.saturating_add(1)));
            keys.extend(view.parked.within(within));
        }
        let more = keys.len() > limit;
        let rows = keys.into_iter().take(limit).map(|key| (key.clone(), view.row(key)));
        Ok(StoredRange { rows: rows.collect(), more, state: view.state(), head: None })
    }
}

fn of(bound: &Bound<String>) -> Bound<&str> {
    bound.as_ref().map(String::as_str)
}

/// Returns true if the range ends before it begins. A map would panic on such a range.
fn is_empty(range: &KeyRange) -> bool {
    match (&range.from, &range.to) {
        (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from > to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
