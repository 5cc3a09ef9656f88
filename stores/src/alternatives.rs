//! A query as alternatives each of which one index answers in log order. Over several types at once
//! an index on type and position is not in order, and a database would sort all that follows to
//! give one page of it.

use highwater_core::{Query, QueryItem};

/// The alternatives; one that asks for nothing if the query is over every event.
pub(crate) fn alternatives(query: &Query) -> Vec<QueryItem> {
    if query.items.is_empty() {
        return vec![QueryItem::default()];
    }
    let split: Vec<QueryItem> = query.items.iter().flat_map(split).collect();
    if split.len() > MOST { query.items.clone() } else { split }
}

/// Databases take no more than some hundreds of parts in one statement.
const MOST: usize = 100;

/// Tags lead to few events, so what else an item asks for is looked at there.
fn split(item: &QueryItem) -> Vec<QueryItem> {
    if !item.tags.is_empty() {
        return vec![item.clone()];
    }
    if !item.types.is_empty() {
        let one = |name: &String| QueryItem { types: vec![name.clone()], ..item.clone() };
        return item.types.iter().map(one).collect();
    }
    let one = |category| QueryItem { categories: vec![category], ..QueryItem::default() };
    let categories: Vec<_> = item.categories.iter().cloned().map(one).collect();
    if categories.is_empty() { vec![item.clone()] } else { categories }
}
