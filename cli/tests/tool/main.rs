//! The operator's tool, on every store: what it prints, for readers and for programs, and its exit codes.
//!
//! | File | Content |
//! |---|---|
//! | `views` | views at every state, made by hand |
//! | `doctor` | findings, each with what to do about it |
//! | `status` | how far each view is |
//! | `generations` | generations: list, promote, remove |
//! | `parked` | parked keys: list, show, retry |
//! | `events` | streams, and the tail of the log |
//! | `transfer` | a log in a file, and back |
//! | `guide` | the page of the guide |
//! | `process` | the program: exit codes, pipes, secrets |
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod doctor;
mod events;
mod generations;
mod guide;
mod parked;
mod process;
mod status;
mod transfer;
mod views;

use clap::Parser as _;
use highwater::Highwater;
use highwater_cli::{Tool, ToolFailure, ToolOutcome};
use highwater_test_support::bank::{Account, Deposit};
use serde_json::Value;

type Ended = Result<ToolOutcome, ToolFailure>;

/// Runs the tool with these arguments, and returns what it printed.
pub(crate) async fn run(app: &Highwater, arguments: &[&str]) -> (Ended, String) {
    let mut out = Vec::new();
    let arguments = std::iter::once("highwater").chain(arguments.iter().copied());
    let ended = Tool::try_parse_from(arguments).unwrap().run_on(app, &mut out).await;
    (ended, String::from_utf8(out).unwrap())
}

/// Returns what the tool prints, which fits 80 columns.
pub(crate) async fn printed(app: &Highwater, arguments: &[&str]) -> String {
    let (ended, printed) = run(app, arguments).await;
    assert_eq!(ended.unwrap(), ToolOutcome::Done, "{arguments:?}");
    for line in printed.lines() {
        assert!(line.chars().count() <= 80 && !line.ends_with(' '), "{line:?}");
    }
    printed
}

/// Returns the document that the tool prints with `--json`.
pub(crate) async fn json(app: &Highwater, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_str(&printed(app, &arguments).await).unwrap()
}

/// Returns the reason for which the tool did nothing.
pub(crate) async fn not_done(app: &Highwater, arguments: &[&str]) -> String {
    match run(app, arguments).await.0.unwrap() {
        ToolOutcome::NotDone(reason) => reason,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

/// Returns the code of the error that the tool ends with.
pub(crate) async fn error_code(app: &Highwater, arguments: &[&str]) -> String {
    match run(app, arguments).await.0.unwrap_err() {
        ToolFailure::Store(error) => error.code().to_string(),
        other => panic!("{arguments:?}: {other}"),
    }
}

pub(crate) async fn deposit(app: &Highwater, account: &str, cents: i64) {
    app.aggregate::<Account>(account).execute(Deposit { cents }).await.unwrap();
}
