//! The rules of a file and of a history.

use highwater::{Code, prelude::*};

use crate::{
    file::{Add, Content, Delete, Edit, File, Mode, RenameAway},
    git::{Churn, Commit},
    history::{HISTORY, History, RecordCommit},
    path::Path,
};

fn content() -> Content {
    Content { mode: Mode::Plain, blob: "b10b".to_owned() }
}

fn edit(added: u64, deleted: u64) -> Edit {
    Edit { content: content(), added, deleted }
}

fn add(lines: u64) -> Add {
    Add { content: content(), lines: Some(lines) }
}

async fn memory() -> Highwater {
    Highwater::open("memory:").await.unwrap()
}

fn name_of(error: &highwater::Error) -> &str {
    error.rejection().unwrap().name()
}

#[tokio::test]
async fn w5_an_edit_after_deletion_is_rejected_by_the_invariants_name() {
    let highwater = memory().await;
    let file = highwater.aggregate::<File>("a");
    file.execute(add(3)).await.unwrap();
    file.execute(Delete {}).await.unwrap();
    assert_eq!(
        name_of(&file.execute(edit(1, 0)).await.unwrap_err()),
        "never_edited_after_deletion"
    );
    assert_eq!(name_of(&file.execute(Delete {}).await.unwrap_err()), "never_edited_after_deletion");
    file.execute(add(1)).await.unwrap();
    file.execute(edit(1, 0)).await.unwrap();
    assert_eq!(file.load(AsOf::Now).await.unwrap().lines, Some(2));
}

#[tokio::test]
async fn w5_an_edit_after_a_rename_away_is_rejected() {
    let highwater = memory().await;
    let file = highwater.aggregate::<File>("a");
    file.execute(add(3)).await.unwrap();
    file.execute(RenameAway { to: Path::from_git(b"b") }).await.unwrap();
    assert_eq!(
        name_of(&file.execute(edit(1, 0)).await.unwrap_err()),
        "never_edited_after_deletion"
    );
}

#[tokio::test]
async fn w5_a_file_never_has_fewer_than_zero_lines() {
    let highwater = memory().await;
    let file = highwater.aggregate::<File>("a");
    file.execute(add(3)).await.unwrap();
    let error = file.execute(edit(1, 5)).await.unwrap_err();
    assert_eq!(name_of(&error), "never_below_zero_lines");
    assert_eq!(error.rejection().unwrap().value("lines").unwrap(), &-1);
    file.execute(edit(1, 4)).await.unwrap();
}

#[tokio::test]
async fn w5_a_file_that_is_there_is_not_added() {
    let highwater = memory().await;
    let file = highwater.aggregate::<File>("a");
    file.execute(add(3)).await.unwrap();
    assert_eq!(name_of(&file.execute(add(3)).await.unwrap_err()), "added_once");
}

#[tokio::test]
async fn w2_a_commit_with_one_impossible_change_changes_nothing() {
    let highwater = memory().await;
    let both = highwater.atomically().on::<File, _>("a", add(1)).on::<File, _>("b", edit(1, 0));
    assert_eq!(both.execute().await.unwrap_err().code(), Code::REJECTED);
    assert!(highwater.aggregate::<File>("a").load(AsOf::Now).await.unwrap().content.is_none());
}

#[tokio::test]
async fn a_commit_is_recorded_only_after_its_parent() {
    let highwater = memory().await;
    let history = highwater.aggregate::<History>(HISTORY);
    let record = |hash: &str, parent: Option<&str>| RecordCommit {
        commit: Commit {
            hash: hash.to_owned(),
            parent: parent.map(str::to_owned),
            author: "A <a@example.org>".to_owned(),
            time: None,
            summary: String::new(),
        },
        changes: 0,
        churn: Churn::default(),
    };
    history.execute(record("1", None)).await.unwrap();
    for (hash, parent) in [("3", Some("2")), ("other", None)] {
        let error = history.execute(record(hash, parent)).await.unwrap_err();
        assert_eq!(name_of(&error), "follows_its_parent");
    }
    history.execute(record("2", Some("1"))).await.unwrap();
}
