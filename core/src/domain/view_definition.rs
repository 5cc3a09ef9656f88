//! The definition of a view: the part of a program that decides on its rows, as far as it is declared.

use std::fmt::{Display, Write as _};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Query, QueryItem};
use crate::value::Tag;

/// The events, the key and the row of a view, which decide on its rows. The store keeps the definition by which a
/// view was built, so a program with another one notices it. Columns and indexes are no part of it, since the
/// database computes them from the rows.
///
/// The code of `key` and `fold` can't be seen here: a change of it alone is only noticed by the version that the author
/// declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// The version that the author declares; 1 unless it is declared. The stored form lacks it then.
    #[serde(default = "first_version", skip_serializing_if = "is_first_version")]
    pub version: u32,
}

fn first_version() -> u32 {
    1
}

fn is_first_version(version: &u32) -> bool {
    *version == 1
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

/// A definition as a store has it. The hash is that of the stored text: a newer version of Highwater may have written
/// more into it than this one knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDefinition {
    /// The definition.
    pub definition: ViewDefinition,
    /// The hash that is stored beside it.
    pub hash: DefinitionHash,
}

impl From<ViewDefinition> for StoredDefinition {
    fn from(definition: ViewDefinition) -> Self {
        Self { hash: definition.hash(), definition }
    }
}

/// The difference between the definition by which a view was built and another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinitionChange {
    /// At most the types of events differ: the rows are the same as long as there is no event of these.
    Types {
        /// The types that are folded now.
        added: Vec<String>,
        /// The types that are no longer folded.
        removed: Vec<String>,
    },
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
        Self { row: row.to_owned(), keyed_by: keyed_by.to_string(), types, scope, version: 1 }
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

    /// Returns this definition with the form of the row of another one, if its own isn't known.
    #[must_use]
    pub fn completed_by(&self, other: &Self) -> Self {
        let row = if self.row.is_empty() { &other.row } else { &self.row };
        Self { row: row.clone(), ..self.clone() }
    }

    /// Returns the difference of a newer definition from this one. A form of the row that isn't known differs from
    /// none.
    #[must_use]
    pub fn change_to(&self, new: &Self) -> DefinitionChange {
        let mut changes = Changes::default();
        changes.add("its version", &self.version.to_string(), &new.version.to_string());
        if !self.row.is_empty() && !new.row.is_empty() {
            changes.add("its row", &self.row, &new.row);
        }
        changes.add("its key", &self.keyed_by, &new.keyed_by);
        changes.add("the scope of its events", &self.scope, &new.scope);
        if self.types.is_empty() != new.types.is_empty() {
            // Without types it has the events of every type.
            changes.add("its types", &self.types.join(", "), &new.types.join(", "));
        }
        if changes.0.is_empty() {
            let added = difference(&new.types, &self.types);
            return DefinitionChange::Types { added, removed: difference(&self.types, &new.types) };
        }
        DefinitionChange::Other(changes.0)
    }
}

/// The changes of a definition, as a sentence.
#[derive(Default)]
struct Changes(String);

impl Changes {
    fn add(&mut self, part: &str, old: &str, new: &str) {
        if old != new {
            let separator = if self.0.is_empty() { "" } else { "; " };
            let _ = write!(self.0, "{separator}{part} was {old:?} and is {new:?}");
        }
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
            version: 1,
        }
    }

    fn types(added: &[&str], removed: &[&str]) -> DefinitionChange {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        DefinitionChange::Types { added: names(added), removed: names(removed) }
    }

    #[test]
    fn r5_changed_types_are_told_from_changes_of_rows() {
        let old = definition("{cents:i64}", &["opened"]);
        assert_eq!(old.change_to(&old), types(&[], &[]));
        let wider = definition("{cents:i64}", &["closed", "opened"]);
        assert_eq!(old.change_to(&wider), types(&["closed"], &[]));
        assert_eq!(wider.change_to(&old), types(&[], &["closed"]));
        let other = definition("{zip:String}", &["closed", "opened"]);
        let expected = r#"its row was "{cents:i64}" and is "{zip:String}""#;
        assert_eq!(old.change_to(&other), DefinitionChange::Other(expected.to_owned()));
        let later = ViewDefinition { version: 2, ..old.clone() };
        let expected = r#"its version was "1" and is "2""#;
        assert_eq!(old.change_to(&later), DefinitionChange::Other(expected.to_owned()));
        let all = definition("{cents:i64}", &[]);
        let expected = r#"its types was "" and is "opened""#;
        assert_eq!(all.change_to(&old), DefinitionChange::Other(expected.to_owned()));
    }

    #[test]
    fn r5_a_form_of_the_row_that_is_not_known_differs_from_none_and_is_not_forgotten() {
        let derived = definition("{cents:i64}", &["opened"]);
        let by_hand = definition("", &["opened"]);
        assert_eq!(derived.change_to(&by_hand), types(&[], &[]));
        assert_eq!(by_hand.change_to(&derived), types(&[], &[]));
        assert_eq!(by_hand.completed_by(&derived), derived);
        assert_eq!(derived.completed_by(&by_hand), derived);
    }

    #[test]
    fn r5_a_definition_with_more_than_is_known_is_not_decoded() {
        let newer = r#"{"row":"","keyed_by":"","types":[],"scope":"","version":2,"more":3}"#;
        assert!(serde_json::from_str::<ViewDefinition>(newer).is_err());
    }

    #[test]
    fn r5_the_stored_form_of_a_definition_stays_as_it_is() {
        let stored = definition("{cents:i64}", &["closed", "opened"]);
        let json =
            r#"{"row":"{cents:i64}","keyed_by":"by key","types":["closed","opened"],"scope":""}"#;
        assert_eq!(stored.to_json(), json);
        assert_eq!(serde_json::from_str::<ViewDefinition>(json).unwrap(), stored);
        let later = ViewDefinition { version: 2, ..stored.clone() };
        let json = later.to_json();
        assert!(json.ends_with(r#""scope":"","version":2}"#), "{json}");
        assert_eq!(serde_json::from_str::<ViewDefinition>(&json).unwrap(), later);
        assert_eq!(stored.hash().get(), 6_561_896_013_284_980_557);
    }
}
