//! The definition of a view: the part of a program that decides on its rows, as far as it is declared.

use std::fmt::{self, Display, Write as _};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Query, QueryItem};
use crate::value::Tag;

/// The events, the key and the row of a view, which decide on its rows. The store keeps the definition by which a
/// view was built, so a program with another one notices it. Columns and indexes are no part of it, since the
/// database computes them from the rows.
///
/// The code of `key` and `fold` can't be seen here: a change of it alone is not noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDefinition {
    /// The fields of the row with their types, as the derive macro found them; empty for a view that is written by
    /// hand.
    pub row: String,
    /// The origin of the key.
    pub keyed_by: String,
    /// The types of its events with all their names, sorted.
    pub types: Vec<String>,
    /// The categories and tags to which the events are limited; empty if they aren't. A query of several alternatives
    /// is here as a whole.
    pub scope: String,
}

/// The hash of a definition: equal definitions have equal hashes, in every process and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DefinitionHash(u64);

impl DefinitionHash {
    /// Wraps a hash that was stored.
    #[must_use]
    pub const fn new(hash: u64) -> Self {
        Self(hash)
    }

    /// The hash.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// The difference between the definition by which a view was built and another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinitionChange {
    /// The rows are the same.
    Same,
    /// Types of events were added: the rows are the same as long as there is no event of them.
    AddedTypes(Vec<String>),
    /// The rows are other ones, for this reason.
    Other(String),
}

impl ViewDefinition {
    /// Creates the definition of a view with this form of a row, this origin of the key and these events.
    #[must_use]
    pub fn new(row: &str, keyed_by: &impl Display, query: &Query) -> Self {
        let (mut types, scope) = match &*query.items {
            [item] => (item.types.clone(), scope_of(item)),
            _ => (Vec::new(), scopes_of(query)),
        };
        types.sort_unstable();
        types.dedup();
        Self { row: row.to_owned(), keyed_by: keyed_by.to_string(), types, scope }
    }

    /// Returns the form in which it is stored.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the hash of the form in which it is stored.
    #[must_use]
    pub fn hash(&self) -> DefinitionHash {
        DefinitionHash(xxh3_64(self.to_json().as_bytes()))
    }

    /// Returns the difference of a newer definition from this one. A view that is written by hand names no fields, so
    /// they are not compared with those of another.
    #[must_use]
    pub fn change_to(&self, new: &Self) -> DefinitionChange {
        let mut changes = Changes::default();
        if !self.row.is_empty() && !new.row.is_empty() {
            changes.add("its row", &self.row, &new.row);
        }
        changes.add("its key", &self.keyed_by, &new.keyed_by);
        changes.add("the scope of its events", &self.scope, &new.scope);
        changes.add_types("is no longer folded", difference(&self.types, &new.types));
        let added = difference(&new.types, &self.types);
        if changes.0.is_empty() {
            let is_same = added.is_empty();
            return if is_same {
                DefinitionChange::Same
            } else {
                DefinitionChange::AddedTypes(added)
            };
        }
        changes.add_types("was added", added);
        DefinitionChange::Other(changes.0)
    }
}

/// The changes of a definition, as a sentence.
#[derive(Default)]
struct Changes(String);

impl Changes {
    fn add(&mut self, part: &str, old: &str, new: &str) {
        if old != new {
            self.push(format_args!("{part} was {old:?} and is {new:?}"));
        }
    }

    fn add_types(&mut self, change: &str, types: Vec<String>) {
        for name in types {
            self.push(format_args!("{name} {change}"));
        }
    }

    fn push(&mut self, change: fmt::Arguments<'_>) {
        let separator = if self.0.is_empty() { "" } else { "; " };
        let _ = write!(self.0, "{separator}{change}");
    }
}

fn difference(these: &[String], others: &[String]) -> Vec<String> {
    these.iter().filter(|name| !others.contains(name)).cloned().collect()
}

fn scopes_of(query: &Query) -> String {
    let with_types = |item: &QueryItem| format!("{} {}", sorted(&item.types), scope_of(item));
    sorted(query.items.iter().map(with_types))
}

fn scope_of(item: &QueryItem) -> String {
    let categories = sorted(&item.categories);
    let tags = sorted(item.tags.as_slice().iter().map(Tag::as_str));
    [categories, tags].join(" ").trim().to_owned()
}

fn sorted<T: Display>(parts: impl IntoIterator<Item = T>) -> String {
    let mut parts: Vec<String> = parts.into_iter().map(|part| part.to_string()).collect();
    parts.sort_unstable();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(row: &str, types: &[&str]) -> ViewDefinition {
        ViewDefinition {
            row: row.to_owned(),
            keyed_by: "by key".to_owned(),
            types: types.iter().map(|name| (*name).to_owned()).collect(),
            scope: String::new(),
        }
    }

    #[test]
    fn r5_added_types_are_told_from_changes_of_rows() {
        let old = definition("{cents:i64}", &["opened"]);
        assert_eq!(old.change_to(&old), DefinitionChange::Same);
        let wider = definition("{cents:i64}", &["closed", "opened"]);
        let added = DefinitionChange::AddedTypes(vec!["closed".to_owned()]);
        assert_eq!(old.change_to(&wider), added);
        let removed = DefinitionChange::Other("closed is no longer folded".to_owned());
        assert_eq!(wider.change_to(&old), removed);
        let other = definition("{zip:String}", &["closed", "opened"]);
        let DefinitionChange::Other(change) = old.change_to(&other) else { panic!("{other:?}") };
        let expected = r#"its row was "{cents:i64}" and is "{zip:String}"; closed was added"#;
        assert_eq!(change, expected);
    }

    #[test]
    fn r5_a_view_that_names_no_fields_is_not_compared_by_them() {
        let derived = definition("{cents:i64}", &["opened"]);
        let by_hand = definition("", &["opened"]);
        assert_eq!(derived.change_to(&by_hand), DefinitionChange::Same);
        assert_eq!(by_hand.change_to(&derived), DefinitionChange::Same);
        assert_ne!(by_hand.hash(), derived.hash());
    }

    #[test]
    fn r5_the_stored_form_of_a_definition_stays_as_it_is() {
        let stored = definition("{cents:i64}", &["closed", "opened"]);
        let json =
            r#"{"row":"{cents:i64}","keyed_by":"by key","types":["closed","opened"],"scope":""}"#;
        assert_eq!(stored.to_json(), json);
        assert_eq!(stored.hash().get(), 6_561_896_013_284_980_557);
    }
}
