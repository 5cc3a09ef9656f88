//! Random histories, recorded and compared with git.

use std::{env, time::Instant};

use super::{
    generate::history,
    sandbox::{Sandbox, events, open},
};
use crate::{
    file::{Add, Content, File, Mode},
    history::{HISTORY, History},
};
use highwater::prelude::*;

const DEFAULT_CHANGES: u64 = 2_000;

/// How many changes the large history has.
fn changes() -> u64 {
    env::var("HIGHWATER_HISTORY_CHANGES").map_or(DEFAULT_CHANGES, |number| number.parse().unwrap())
}

/// The seed to repeat a run from.
fn seed() -> u64 {
    let seed =
        env::var("HIGHWATER_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("HIGHWATER_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_history_equals_git_and_a_second_run_adds_nothing() {
    // Some of what is generated is no change to git: a file that is deleted and added again, say.
    let sandbox = Sandbox::with(&history(changes() * 5 / 4, seed()));
    let no_differences: Vec<String> = vec![];
    let began = Instant::now();
    assert_eq!(sandbox.run(&[]).await.unwrap(), no_differences);
    println!("recorded and checked in {:?}", began.elapsed());

    let highwater = sandbox.open().await;
    let head = highwater.log().head().await.unwrap();
    let recorded = highwater.aggregate::<History>(HISTORY).load(AsOf::Now).await.unwrap();
    let commits = sandbox.git(&["rev-list", "--first-parent", "--count", "main"]);
    assert_eq!(recorded.commits.to_string(), commits);
    assert!(recorded.changes >= changes(), "{}", recorded.changes);

    for options in [&[][..], &["--resend"]] {
        let began = Instant::now();
        assert_eq!(sandbox.run(options).await.unwrap(), no_differences);
        println!("again with {options:?} in {:?}", began.elapsed());
        assert_eq!(highwater.log().head().await.unwrap(), head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_as_of_each_commit_is_that_of_git() {
    let sandbox = Sandbox::with(&history(200, seed()));
    sandbox.run(&[]).await.unwrap();
    for commit in sandbox.git(&["rev-list", "--first-parent", "main"]).lines() {
        assert!(sandbox.run(&["--tree", commit]).await.unwrap().is_empty(), "{commit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_in_pieces_or_at_once_the_events_are_the_same() {
    let sandbox = Sandbox::with(&history(300, seed()));
    let whole = sandbox.path("whole.db").to_str().unwrap().to_owned();
    sandbox.run_on(&sandbox.repository(), &whole, &[]).await.unwrap();
    let mut pieces = 0;
    while pieces == 0 || sandbox.run(&["--tree", "main"]).await.is_err() {
        assert!(sandbox.run(&["--limit", "7"]).await.unwrap().is_empty());
        pieces += 1;
    }
    assert!(pieces > 5);
    assert_same_events(&sandbox.db(), &whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_two_runs_at_once_record_each_commit_once() {
    let sandbox = Sandbox::with(&history(400, seed()));
    let alone = sandbox.path("alone.db").to_str().unwrap().to_owned();
    sandbox.run_on(&sandbox.repository(), &alone, &[]).await.unwrap();
    let (one, other) = tokio::join!(sandbox.run(&[]), sandbox.run(&["--resend"]));
    assert!(one.unwrap().is_empty());
    assert!(other.unwrap().is_empty());
    assert_same_events(&sandbox.db(), &alone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_from_git_is_told() {
    let sandbox = Sandbox::with(&history(100, seed()));
    sandbox.run(&[]).await.unwrap();
    let content = Content { mode: Mode::Plain, blob: "b10b".to_owned() };
    let add = Add { content, lines: Some(1) };
    sandbox.open().await.aggregate::<File>("not in git").execute(add).await.unwrap();
    let differences = sandbox.run(&[]).await.unwrap();
    assert_eq!(differences, ["view file_lines, not in git: not in git"]);
}

/// Otherwise the other tests show less than they say.
#[test]
fn a_random_history_has_everything_in_it() {
    let sandbox = Sandbox::with(&history(1_000, seed()));
    let line = ["log", "--first-parent", "--diff-merges=first-parent", "--format=", "-M", "main"];
    let raw = sandbox.git(&[&line[..], &["--raw"]].concat());
    for status in ["A\t", "M\t", "D\t", "T\t", "R100\t", "R09"] {
        assert!(raw.contains(&format!(" {status}")), "{status}");
    }
    for mode in ["000000 100755", "000000 120000", "000000 160000", "100644 100755"] {
        assert!(raw.contains(&format!(":{mode}")), "{mode}");
    }
    let counts = sandbox.git(&[&line[..], &["--numstat"]].concat());
    assert!(counts.contains("-\t-\t"));
    assert!(!sandbox.git(&["rev-list", "--first-parent", "--merges", "main"]).is_empty());
    let paths = sandbox.git(&["-c", "core.quotePath=true", "ls-tree", "-r", "main"]);
    assert!(paths.contains("\\351\\377") && paths.contains("new\\nline"));
}

/// What differs from run to run are ids of events and times.
pub(super) async fn assert_same_events(one: &str, other: &str) {
    let (one, other) = (events(&open(one).await).await, events(&open(other).await).await);
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(&other) {
        let of = |event: &highwater::Envelope| {
            (event.position, event.stream.clone(), event.version, event.command)
        };
        assert_eq!(of(one), of(other));
        assert_eq!((&one.type_name, &one.payload), (&other.type_name, &other.payload));
        assert_eq!(one.raw_metadata, other.raw_metadata);
    }
}
