//! The bank as a whole: its programs in processes of their own, asked over HTTP and looked at in a browser.
//!
//! | File | What is in it |
//! |---|---|
//! | `http`, `browser` | the bank in one process: over HTTP, and its page |
//! | `processes` | an API, a relay and workers as processes, while commands are under way |
//! | `bank`, `fleet` | the bank in one process, and in several |
//! | `client`, `driver` | a client of the API, and a browser without a window |
//! | `program` | a program in a process group of its own |
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod bank;
mod browser;
mod client;
mod driver;
#[cfg(feature = "kafka")]
mod fleet;
mod http;
#[cfg(feature = "kafka")]
mod processes;
mod program;

use std::{env, fs::OpenOptions, io::Write as _, time::Duration};

/// How long anything may take that will surely come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says loudly that a test can't run here, or fails where that is forbidden.
fn skip(test: &str, what: &str) {
    let required = env::var("HIGHWATER_REQUIRE_SERVICES").is_ok_and(|value| value == "1");
    assert!(!required, "{test}: {what}, and HIGHWATER_REQUIRE_SERVICES is 1");
    let line = format!("SKIPPED {test}: {what}");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = env::var_os("HIGHWATER_TEST_SKIPPED") {
        let mut list = OpenOptions::new().append(true).open(list).unwrap();
        writeln!(list, "{line}").unwrap();
    }
}
