//! A test that runs again as another process.
//!
//! The parent starts its own program with [`child`], which runs one test alone. That test finds its [`task`] in the
//! environment and carries it out; without a task, as `cargo test` runs it, it does nothing.

use std::{env, fs::File, path::Path, process::Command};

use serde::{Serialize, de::DeserializeOwned};
use tracing_subscriber::filter::LevelFilter;

/// The environment variable that holds the task of a child, as JSON.
const TASK: &str = "HIGHWATER_TEST_CHILD_TASK";

/// Returns the command that runs this test of this program as another process, with this task.
pub fn child(test: &str, task: &impl Serialize) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(TASK, serde_json::to_string(task).unwrap());
    command
}

/// Returns the same command with its output appended to a file.
pub fn child_logging_to(file: &Path, test: &str, task: &impl Serialize) -> Command {
    let file = File::options().create(true).append(true).open(file).unwrap();
    let mut command = child(test, task);
    command.stdout(file.try_clone().unwrap()).stderr(file);
    command
}

/// Returns the task of this process, if it is a [`child`].
pub fn task<T: DeserializeOwned>() -> Option<T> {
    let task = env::var(TASK).ok()?;
    Some(serde_json::from_str(&task).unwrap())
}

/// Runs the work of a child to its end, and prints what it logs.
pub fn run(work: impl Future<Output = ()>) {
    tracing_subscriber::fmt().with_ansi(false).with_max_level(LevelFilter::INFO).init();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(work);
}
