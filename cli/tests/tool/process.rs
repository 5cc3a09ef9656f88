//! The program: exit codes, pipes, secrets.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use highwater_test_support::bank::{Bank, banks};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use crate::{
    deposit,
    views::{at, spec},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A run that has ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program without a terminal, on the store of this URL.
pub(crate) fn program(url: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_highwater"));
    program.env_remove("HIGHWATER_VIEWS").env("HIGHWATER_STORE", url);
    program.stdin(Stdio::null()).kill_on_drop(true);
    program
}

pub(crate) async fn run(program: &mut Command, arguments: &[&str]) -> Run {
    let ended = timeout(PATIENCE, program.args(arguments).output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: ended.status.code().unwrap(), out: text(ended.stdout), err: text(ended.stderr) }
}

pub(crate) fn file_url(folder: &Path) -> String {
    format!("sqlite:{}?prefix=bank_", folder.join("bank.db").display())
}

/// Returns the URL of a store that other processes can open.
pub(crate) fn url(bank: &Bank) -> Option<String> {
    match bank {
        Bank::Memory(_) => None,
        Bank::Sqlite(folder) => Some(file_url(folder.path())),
        Bank::Postgres(url) => Some(url.clone()),
    }
}

#[tokio::test]
async fn cli_exit_codes_and_streams_tell_the_ends_apart() {
    for bank in banks() {
        let Some(url) = url(&bank) else { continue };
        let app = bank.open().await;
        deposit(&app, "alice", 1).await;
        at(&app, &spec("balances", 1, 0), 1).await;
        let done = run(&mut program(&url), &["status"]).await;
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
        assert!(done.out.contains("\nbalances\n"), "{}", done.out);
        let other = run(&mut program("sqlite:/no/such/file"), &["status", "--store", &url]).await;
        assert_eq!((other.code, other.out), (0, done.out));

        let nothing = run(&mut program(&url), &["stream", "account-bob"]).await;
        assert_eq!((nothing.code, nothing.out.as_str()), (3, ""));
        assert_eq!(nothing.err, "stream \"account-bob\" has no events\n");
        let nothing = run(&mut program(&url), &["stream", "account-bob", "--json"]).await;
        assert_eq!(nothing.err, "{\"not_done\":\"stream \\\"account-bob\\\" has no events\"}\n");

        let error = run(&mut program(&url), &["parked", "list", "missing"]).await;
        assert_eq!((error.code, error.out.as_str()), (1, ""));
        assert!(error.err.starts_with("HW308: "), "{}", error.err);
        assert!(error.err.ends_with("\n\nsee docs/errors/HW308.md\n"), "{}", error.err);
        let error = run(&mut program(&url), &["parked", "list", "missing", "--json"]).await;
        let json: serde_json::Value = serde_json::from_str(&error.err).unwrap();
        assert_eq!((error.code, &json["error"]["code"]), (1, &"HW308".into()));

        let usage = run(&mut program(&url), &["parked", "retry", "balances"]).await;
        assert_eq!((usage.code, usage.out.as_str()), (2, ""));
        let asked = run(&mut program(&url), &["promote", "balances", "1"]).await;
        assert_eq!(asked.code, 2);
        let expected = "error: there is no terminal to ask on: give --yes to promote generation 1 of view balances\n";
        assert_eq!(asked.err, expected);
    }
}

#[tokio::test]
async fn cli_a_url_is_never_printed_and_a_file_never_created() {
    let secret = "postgres://alice:hunter2@127.0.0.1:1/bank?connect_timeout=1";
    for arguments in
        [&["status"][..], &["--help"], &["status", "--json"], &["status", "--help"], &["no"]]
    {
        let run = run(&mut program(secret), arguments).await;
        assert!(!format!("{}{}", run.out, run.err).contains("hunter2"), "{}{}", run.out, run.err);
    }
    let unnamed = run(program("").env_remove("HIGHWATER_STORE"), &["status"]).await;
    assert_eq!(unnamed.code, 2);
    assert!(unnamed.err.contains("give --store URL, or set HIGHWATER_STORE"), "{}", unnamed.err);

    let folder = tempfile::tempdir().unwrap();
    let missing = run(&mut program(&file_url(folder.path())), &["status"]).await;
    assert_eq!((missing.code, missing.out.as_str()), (1, ""), "{}", missing.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn cli_views_may_be_in_another_store() {
    let [log, views] = [(); 2].map(|()| Bank::Sqlite(Arc::new(tempfile::tempdir().unwrap())));
    deposit(&log.open().await, "alice", 1).await;
    at(&views.open().await, &spec("balances", 1, 0), 1).await;
    let [log, views] = [&log, &views].map(|bank| url(bank).unwrap());
    let status = run(&mut program(&log), &["status"]).await;
    assert_eq!(status.out, "head of the log: 1\nno views\n");
    let status = run(program(&log).env("HIGHWATER_VIEWS", views), &["status"]).await;
    assert!(
        status.out.starts_with("head of the log: 1\n\nbalances\n"),
        "{}{}",
        status.out,
        status.err
    );
}

#[tokio::test]
async fn cli_a_tail_follows_what_is_appended_and_ends_with_its_reader() {
    for bank in banks() {
        let Some(url) = url(&bank) else { continue };
        let app = bank.open().await;
        for cents in 1..=3 {
            deposit(&app, "alice", cents).await;
        }
        let mut tail = program(&url);
        let arguments = ["tail", "--follow", "-n", "1", "--json", "--category", "account"];
        let mut tail = tail.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        for position in 3..=6 {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            assert!(line.starts_with(&format!("{{\"position\":{position},")), "{line}");
            deposit(&app, "alice", 1).await;
        }
        // A reader that has seen enough is no failure.
        drop(lines);
        let ended = async {
            loop {
                deposit(&app, "alice", 1).await;
                if let Some(ended) = tail.try_wait().unwrap() {
                    return ended;
                }
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(PATIENCE, ended).await.unwrap().success());
    }
}
