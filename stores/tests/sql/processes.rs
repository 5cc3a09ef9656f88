//! Other processes: another user, another holder of a lock, another writer.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use highwater_test_support::process::{child, task};
use sqlx::{Connection as _, Executor as _};

use super::{
    append, open_any, open_sqlite,
    outbox::{Outbox, Then},
};

/// Returns the command that runs one of the tests below in another process, on this store.
fn command(test: &str, url: &str) -> Command {
    let mut command = child(test, &url);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Opens a SQLite file as a user other than root, and returns `opened`, or the code and the text of the error. `None` if this
/// machine can't run it.
pub(super) fn opened_by_other_user(url: &str) -> Option<String> {
    const NOBODY: u32 = 65_534;
    let mut opening = command("processes::says_what_opening_gives", url);
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        opening.uid(NOBODY).gid(NOBODY);
    }
    let output = opening.output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().find_map(|line| line.strip_prefix("gave "))?;
    Some(said.to_owned())
}

/// Prints that a test can't run here: root has all permissions, and another user can't run a
/// program in the folder of root.
pub(super) fn report_skipped(test: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: another user may not run this program");
}

/// Lets every user enter the folder of a test.
pub(super) fn let_in(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn says_what_opening_gives() {
    let Some(url) = task::<String>() else { return };
    match open_sqlite(&url).await {
        Ok(_) => println!("\ngave opened"),
        Err(error) => println!("\ngave {} {error}", error.code()),
    }
}

/// A process that holds the lock of a SQLite file until this value is dropped.
pub(super) struct Holder(Child);

/// Starts the process, and waits until it has the lock.
pub(super) fn hold(url: &str) -> Holder {
    let mut child =
        command("processes::holds_the_lock", url).stdin(Stdio::piped()).spawn().unwrap();
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
    let Some(url) = task::<String>() else { return };
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    connection.execute("begin immediate").await.unwrap();
    println!("\nlocked");
    std::future::pending::<()>().await;
}

/// Runs a process that appends with a hook, and kills it after this number of acknowledgements.
pub(super) fn appends_until_killed(url: &str, acknowledgements: usize) {
    let mut child = command("processes::appends_with_work", url).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let acknowledged = lines.filter(|line| line == "ack").take(acknowledgements).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(acknowledged, acknowledgements);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_with_work() {
    let Some(url) = task::<String>() else { return };
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

/// The number of tasks of each process that open the database.
pub(super) const OPENERS: u64 = 3;

/// Opens a database in several processes at the same moment; each task then appends an event.
pub(super) fn open_at_once(url: &str, processes: usize) {
    let start =
        || command("processes::opens_when_told", url).stdin(Stdio::piped()).spawn().unwrap();
    let mut children: Vec<Child> = (0..processes).map(|_| start()).collect();
    let outputs: Vec<_> = children
        .iter_mut()
        .map(|child| BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok))
        .map(|mut lines| {
            assert!(lines.any(|line| line == "ready"));
            lines
        })
        .collect();
    // Closing the input of a child is its signal.
    children.iter_mut().for_each(|child| drop(child.stdin.take()));
    for (mut child, lines) in children.into_iter().zip(outputs) {
        let said: Vec<String> = lines.filter(|line| line.starts_with("gave ")).collect();
        assert_eq!(said, vec!["gave an event"; OPENERS as usize]);
        assert!(child.wait().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opens_when_told() {
    let Some(url) = task::<String>() else { return };
    println!("\nready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let tasks = (0..OPENERS).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let outcome = async { open_any(&url).await?.append(append()).await }.await;
            match outcome {
                Ok(_) => println!("\ngave an event"),
                Err(error) => println!("\ngave {} {error:?}", error.code()),
            }
        })
    });
    futures_util::future::join_all(tasks).await;
}
