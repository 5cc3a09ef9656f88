//! The comparison of two rows of JSON.
//!
//! Equal bytes are the same row. Other bytes may be, too: the order of a map's entries means nothing, nor does that of a
//! list which the row keeps in a hashed set. Which lists are such the type alone knows: those whose order changes when
//! the row is read and written again.

use std::collections::BTreeSet;

use bytes::Bytes;
use highwater_core::domain::{View, ViewName};
use serde_json::Value;

use crate::projection::rows::{decode, encode};

/// The number of times that a row is written again to find lists without an order. A set of two elements keeps their
/// order by chance once in two times.
const TRIALS: usize = 64;

/// The least number of characters of an integer that a [`Value`] may not hold exactly.
const LONG_INTEGER: usize = 19;

/// Returns true if two rows of a view are the same row.
pub(super) fn is_same_row<V: View>(
    view: &ViewName,
    key: &str,
    stored: &Bytes,
    folded: &Bytes,
) -> bool {
    if stored == folded {
        return true;
    }
    let [Some(one), Some(other)] = [stored, folded].map(|row| value_of(row)) else { return false };
    let mut reordered = BTreeSet::new();
    long_integers(stored) == long_integers(folded)
        && is_same_but_for_order(&one, &other, "", &mut reordered)
        && (reordered.is_empty() || are_unordered::<V>(view, key, stored, &reordered))
}

fn value_of(row: &[u8]) -> Option<Value> {
    serde_json::from_slice(row).ok()
}

/// Returns the integers of a text of JSON that a [`Value`] may round, in order.
fn long_integers(json: &[u8]) -> Vec<&[u8]> {
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let mut found = Vec::new();
    let mut rest = json;
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'"' => after_string(after),
            byte if byte.is_ascii_digit() || *byte == b'-' => {
                let length = rest.iter().take_while(|byte| is_of_number(byte)).count();
                let (number, after) = rest.split_at(length);
                if length >= LONG_INTEGER && !number.iter().any(|byte| b".eE".contains(byte)) {
                    found.push(number);
                }
                after
            }
            _ => after,
        };
    }
    found.sort_unstable();
    found
}

/// Returns what follows a string, from after its opening quote.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b'"', after @ ..] => return after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

/// Compares two values; adds the paths of the lists whose elements are in another order.
fn is_same_but_for_order(
    one: &Value,
    other: &Value,
    path: &str,
    reordered: &mut BTreeSet<String>,
) -> bool {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            let mut within = BTreeSet::new();
            let mut pairs = ones.iter().zip(others).enumerate();
            if pairs.all(|(index, (one, other))| {
                is_same_but_for_order(one, other, &format!("{path}/{index}"), &mut within)
            }) {
                reordered.append(&mut within);
                return true;
            }
            let is_same = sorted(one) == sorted(other);
            if is_same {
                reordered.insert(path.to_owned());
            }
            is_same
        }
        (Value::Object(ones), Value::Object(others)) if ones.len() == others.len() => {
            ones.iter().all(|(name, one)| {
                let path = format!("{path}/{name}");
                let other = others.get(name);
                other.is_some_and(|other| is_same_but_for_order(one, other, &path, reordered))
            })
        }
        _ => one == other,
    }
}

/// Returns a value with the elements of all lists in the order of their texts.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(values) => {
            let mut values: Vec<_> = values.iter().map(sorted).collect();
            values.sort_by_cached_key(Value::to_string);
            Value::Array(values)
        }
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        value => value.clone(),
    }
}

/// Returns true if the order of each of these lists changes when the row is read and written again.
fn are_unordered<V: View>(
    view: &ViewName,
    key: &str,
    row: &Bytes,
    lists: &BTreeSet<String>,
) -> bool {
    let Some(before) = value_of(row) else { return false };
    let mut unordered = BTreeSet::new();
    for _ in 0..TRIALS {
        let again = decode::<V>(view, key, row).and_then(|mut row| encode(view, key, &mut row));
        let Some(again) = again.ok().and_then(|again| value_of(&again)) else { return false };
        if !is_same_but_for_order(&before, &again, "", &mut unordered) {
            return false;
        }
        if lists.is_subset(&unordered) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r6_long_integers_are_compared_digit_by_digit() {
        let found = |json: &str| {
            long_integers(json.as_bytes())
                .iter()
                .map(|n| String::from_utf8_lossy(n).into())
                .collect()
        };
        let found: Vec<String> = found(
            r#"{"a":-170141183460469231731687303715884105728,"b":"\"12345678901234567890","c":[12345678901234567890,1.2345678901234567890,7]}"#,
        );
        assert_eq!(found, ["-170141183460469231731687303715884105728", "12345678901234567890"]);
    }
}
