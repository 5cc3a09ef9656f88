//! A query as alternatives that one index each answers in log order. An index on type and position is
//! not in log order over several types: the database would sort all later events to return one page.

use highwater_core::{Position, Query, QueryItem, ReadFrom, port::Untagged};

/// The most alternatives of one statement: databases accept only some hundreds of parts.
const MAX_ALTERNATIVES: usize = 100;

/// Returns the alternatives of a query; a single item without conditions for a query over all events.
pub(crate) fn alternatives(query: &Query) -> Vec<QueryItem> {
    if query.items.is_empty() {
        return vec![QueryItem::default()];
    }
    let split: Vec<QueryItem> = query.items.iter().flat_map(split_item).collect();
    if split.len() > MAX_ALTERNATIVES { query.items.clone() } else { split }
}

/// Splits an item by type or category. Tags select few events, so an item with tags is not split: its
/// other conditions are checked on those events.
fn split_item(item: &QueryItem) -> Vec<QueryItem> {
    if !item.tags.is_empty() {
        return vec![item.clone()];
    }
    if !item.types.is_empty() {
        let of_type = |name: &String| QueryItem { types: vec![name.clone()], ..item.clone() };
        return item.types.iter().map(of_type).collect();
    }
    let of_category = |category| QueryItem { categories: vec![category], ..QueryItem::default() };
    let categories: Vec<_> = item.categories.iter().cloned().map(of_category).collect();
    if categories.is_empty() { vec![item.clone()] } else { categories }
}

/// Returns the part of a forward read in which events that lack tags are selected.
pub(crate) fn within(untagged: Option<&Untagged>, span: ReadFrom<Position>) -> ReadFrom<Position> {
    match (untagged, span) {
        (Some(untagged), ReadFrom::After(after)) => ReadFrom::After(after.max(untagged.after)),
        _ => span,
    }
}
