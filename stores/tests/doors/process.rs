//! A process of its own: this test binary again, told by its environment what to do.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use sqlx::{Connection as _, Executor as _};

use super::{
    open_sqlite,
    outbox::{Outbox, Then},
};

const URL: &str = "HIGHWATER_DOORS_CHILD_URL";

fn again(test: &str, url: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--include-ignored"]).env(URL, url);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// What opening a SQLite file gives to a user who isn't root: `opened`, or code and text of the error.
/// `None` if this machine can't show it.
pub(super) fn opened_by_nobody(url: &str) -> Option<String> {
    const NOBODY: u32 = 65_534;
    let mut command = again("process::says_what_opening_gives", url);
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().find_map(|line| line.strip_prefix("gave "))?;
    Some(said.to_owned())
}

/// Lets everybody come into a folder of the test's own.
pub(super) fn let_in(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn says_what_opening_gives() {
    let Ok(url) = env::var(URL) else { return };
    match open_sqlite(&url).await {
        Ok(_) => println!("\ngave opened"),
        Err(error) => println!("\ngave {} {error}", error.code()),
    }
}

/// A process that holds the lock of a SQLite file until it is dropped.
pub(super) struct Holder(Child);

/// Starts it, and waits until it has the lock.
pub(super) fn hold(url: &str) -> Holder {
    let mut child = again("process::holds_the_lock", url).stdin(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "locked"));
    Holder(child)
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn holds_the_lock() {
    let Ok(url) = env::var(URL) else { return };
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    connection.execute("begin immediate").await.unwrap();
    println!("\nlocked");
    std::future::pending::<()>().await;
}

/// A process that appends with work of its own, and is killed after so many acknowledgements.
pub(super) fn appends_until_killed(url: &str, acknowledgements: usize) {
    let mut child = again("process::appends_with_work", url).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let acknowledged = lines.filter(|line| line == "ack").take(acknowledgements).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(acknowledged, acknowledgements);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_with_work() {
    let Ok(url) = env::var(URL) else { return };
    let outbox = Arc::new(Outbox::at(&url).await);
    let writers = (0..4).map(|_| {
        let outbox = Arc::clone(&outbox);
        tokio::spawn(async move {
            loop {
                outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap();
                println!("\nack");
            }
        })
    });
    futures_util::future::join_all(writers).await;
}
