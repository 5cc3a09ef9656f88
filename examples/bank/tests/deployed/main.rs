//! What deploys the bank agrees with its programs and with itself: the Dockerfile, the compose file and the Kubernetes
//! manifests are read, and nothing is started.
//!
//! | File | What is in it |
//! |---|---|
//! | `image` | the Dockerfile |
//! | `compose` | the compose file (O5) |
//! | `kubernetes` | the manifests of Kubernetes (O5) |
//! | `cluster`, `pod` | the manifests as they are written, and the pods of a deployment |
//! | `program` | a program of the bank as a deployment starts it |
#![cfg(feature = "kafka")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod cluster;
mod compose;
mod image;
mod kubernetes;
mod pod;
mod program;

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

/// The text of a file of the bank.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a YAML text, with anchors and merge keys resolved.
fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// A list, or nothing if it isn't there.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text that must be there.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// A number that must be there.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The texts of a list that must be there.
fn texts(value: &Value) -> Vec<String> {
    assert!(value.is_array(), "{value} is no list");
    list(value).iter().map(|value| text(value).to_owned()).collect()
}

/// A duration as people write it.
fn duration(text: &str) -> Duration {
    text.parse::<jiff::SignedDuration>().unwrap().try_into().unwrap()
}
