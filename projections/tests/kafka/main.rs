//! A real Kafka, whose servers the tests kill, stop and start again.
//!
//! | File | What is in it |
//! |---|---|
//! | `broker` | a cluster of the test's own |
//! | `metadata` | which servers one of them takes for alive |
//! | `own` | that the cluster does what the other tests rely on |
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod broker;
mod metadata;
mod own;

use std::{env, fs::OpenOptions, io::Write as _};

/// Says loudly that a test can't run here, or fails where that is forbidden.
fn skip(test: &str) {
    let what = broker::LIBS;
    let required = env::var("HIGHWATER_REQUIRE_SERVICES").is_ok_and(|value| value == "1");
    assert!(!required, "{test}: {what} is not set, and HIGHWATER_REQUIRE_SERVICES is 1");
    let line = format!("SKIPPED {test}: {what} is not set");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = env::var_os("HIGHWATER_TEST_SKIPPED") {
        let mut list = OpenOptions::new().append(true).open(list).unwrap();
        writeln!(list, "{line}").unwrap();
    }
}
