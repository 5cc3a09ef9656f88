//! The fields in which two rows differ.

use std::fmt;

use serde_json::{Map, Value};

/// A field of a row that differs, or has been changed by an event.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The path of the field, with dots between its parts; empty if the row has no fields.
    pub field: String,
    /// The value before, or in the stored row; `None` if there was none.
    pub before: Option<Value>,
    /// The value after, or in the row as it is folded from the log; `None` if there is none.
    pub after: Option<Value>,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Value>| match value {
            Some(value) => value.to_string(),
            None => "nothing".to_owned(),
        };
        let field = if self.field.is_empty() { "the row" } else { &self.field };
        write!(f, "{field}: {} → {}", show(&self.before), show(&self.after))
    }
}

/// Returns the fields in which two rows differ, in the order of their names. Lists are compared as a whole.
pub(crate) fn changes(before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    let mut found = Vec::new();
    let none = Map::new();
    match (before, after) {
        (None, Some(Value::Object(after))) => compare_fields("", &none, after, &mut found),
        (Some(Value::Object(before)), None) => compare_fields("", before, &none, &mut found),
        _ => compare("", before, after, &mut found),
    }
    found
}

fn compare(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            compare_fields(path, before, after, found);
        }
        _ => found.push(FieldChange {
            field: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn compare_fields(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    found: &mut Vec<FieldChange>,
) {
    let added = after.keys().filter(|name| !before.contains_key(*name));
    let mut names: Vec<&String> = before.keys().chain(added).collect();
    names.sort_unstable();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        compare(&path, before.get(name), after.get(name), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
        changes(before, after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn r6_only_the_fields_that_differ_are_shown() {
        let before = json!({"a": 1, "b": {"c": 2, "d": [1, 2]}, "gone": null, "same": "x"});
        let after = json!({"a": 3, "b": {"c": 2, "d": [2]}, "same": "x", "new": true});
        let found = shown(Some(&before), Some(&after));
        assert_eq!(
            found,
            ["a: 1 → 3", "b.d: [1,2] → [2]", "gone: null → nothing", "new: nothing → true"]
        );
    }

    #[test]
    fn r6_a_row_that_appears_or_goes_shows_all_its_fields() {
        assert_eq!(
            shown(None, Some(&json!({"a": 1, "b": 2}))),
            ["a: nothing → 1", "b: nothing → 2"]
        );
        assert_eq!(shown(Some(&json!({"a": 1})), None), ["a: 1 → nothing"]);
        assert_eq!(shown(Some(&json!([1])), None), ["the row: [1] → nothing"]);
        assert_eq!(shown(None, None), [""; 0]);
    }
}
