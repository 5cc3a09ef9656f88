//! Tests of what is refused, what is told apart, and what comes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{read, write, write_to_compare};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Quote {
    price: f64,
    limit: Option<f64>,
    note: Option<Option<String>>,
    lines: Vec<Line>,
    by_day: BTreeMap<u8, f32>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    weight: f32,
}

fn written<T: Serialize>(value: &T) -> Result<String, String> {
    let mut json = Vec::new();
    write(&mut json, value).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(json).unwrap())
}

fn compared<T: Serialize>(value: &T) -> Vec<u8> {
    let mut json = Vec::new();
    write_to_compare(&mut json, value).unwrap();
    json
}

fn reason<T: DeserializeOwned>(json: &str) -> String {
    read::<T>(json.as_bytes()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn what_has_a_form_in_json_is_written_as_serde_json_writes_it() {
    let quote = Quote {
        price: 0.1,
        limit: None,
        note: Some(Some("a\"b".into())),
        lines: vec![Line { weight: -0.0 }],
        by_day: BTreeMap::from([(3, 1e-9)]),
    };
    assert_eq!(written(&quote).unwrap(), serde_json::to_string(&quote).unwrap());
    assert_eq!(compared(&quote), serde_json::to_vec(&quote).unwrap());
    let others = ((), (1_u8, 'c', i128::MIN), Some(7_u8), [Ok(1), Err(Some("e"))]);
    assert_eq!(written(&others).unwrap(), serde_json::to_string(&others).unwrap());
}

#[test]
fn a_number_that_json_cannot_hold_is_refused_with_its_path() {
    let is_no_number = |path: &str, value: &str| {
        format!("field `{path}`: {value} is not a number that JSON can hold")
    };
    let quote = Quote { price: f64::NAN, ..Quote::default() };
    assert_eq!(written(&quote).unwrap_err(), is_no_number("price", "NaN"));
    let quote = Quote { limit: Some(f64::INFINITY), ..Quote::default() };
    assert_eq!(written(&quote).unwrap_err(), is_no_number("limit", "inf"));
    let lines = vec![Line::default(), Line { weight: f32::NEG_INFINITY }];
    let quote = Quote { lines, ..Quote::default() };
    assert_eq!(written(&quote).unwrap_err(), is_no_number("lines[1].weight", "-inf"));
    let quote = Quote { by_day: BTreeMap::from([(7, f32::NAN)]), ..Quote::default() };
    assert_eq!(written(&quote).unwrap_err(), is_no_number("by_day.7", "NaN"));
    assert_eq!(written(&f64::NAN).unwrap_err(), "NaN is not a number that JSON can hold");
}

#[test]
fn a_null_inside_of_some_is_refused_with_its_path() {
    let quote = Quote { note: Some(None), ..Quote::default() };
    let message = written(&quote).unwrap_err();
    assert!(message.starts_with("field `note`: a null inside of `Some`"), "{message}");
    assert!(written(&Some(())).is_err());
    assert!(written(&Some(serde_json::Value::Null)).is_err());
    assert_eq!(written(&None::<Option<u8>>).unwrap(), "null");
    assert_eq!(written(&Some(vec![None::<u8>])).unwrap(), "[null]");
}

#[test]
fn values_without_a_form_in_json_compare_as_what_they_are() {
    let floats = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0].map(|value| compared(&value));
    let options = [None, Some(None), Some(Some(None)), Some(Some(Some(1)))];
    let options = options.map(|value: Option<Option<Option<u8>>>| compared(&value));
    for all in [floats, options] {
        for (index, bytes) in all.iter().enumerate() {
            assert!(!all[..index].contains(bytes), "{bytes:?}");
        }
    }
}

#[test]
fn every_double_comes_back_bit_by_bit() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..20_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = f64::from_bits(state);
        if value.is_finite() {
            let json = written(&value).unwrap();
            let again: f64 = read(json.as_bytes()).unwrap();
            assert_eq!(again.to_bits(), value.to_bits(), "{json}");
        }
    }
}

#[test]
fn an_error_of_reading_has_the_path_of_its_value() {
    let starts = |json: &str, start: &str| {
        let reason = reason::<Quote>(json);
        assert!(reason.starts_with(start), "{reason}");
    };
    starts(r#"{"price":null}"#, "field `price`: invalid type: null, expected f64");
    starts(r#"{"price":1.5,"lines":[{"weight":1},{"weight":"\"]x"}]}"#, "field `lines[1].weight`:");
    starts("{\n\"price\": 1,\n\"lines\": [\n{}]}", "field `lines[0]`: missing field `weight`");
    starts(r#"{"price":1}"#, "missing field `lines`");
    starts("1", "invalid type: integer `1`");
}

#[test]
fn an_error_keeps_its_line_and_column() {
    let error = read::<Quote>(b"{\n\"price\": null}").unwrap_err();
    assert_eq!((error.line(), error.column()), (2, 13));
    assert!(error.to_string().ends_with("expected f64 at line 2 column 13"), "{error}");
}

#[test]
fn a_value_that_is_nested_too_deeply_has_a_path_of_limited_length() {
    let json = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let reason = reason::<serde_json::Value>(&json);
    assert!(reason.contains("recursion limit exceeded") && reason.len() < 250, "{reason}");
}
