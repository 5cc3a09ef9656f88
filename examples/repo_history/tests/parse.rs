//! What `git log` prints, byte by byte.

use crate::{
    file::{Content, Mode},
    git::{Change, Churn, Kind, Step, steps},
    path::Path,
    problem::Problem,
};

const OLD: &str = "422c2b7ab3b3c668038da977e4e93a5fc623169c";
const NEW: &str = "20b5be91886d0b6f26dc98a225c0dac05fe2c86e";
const NONE: &str = "0000000000000000000000000000000000000000";

fn head(number: u64, parents: &str) -> String {
    format!("commit\0hash{number}\0{parents}\0An Author\0a@example.org\01600000000\0Summary\0")
}

fn content(mode: Mode, blob: &str) -> Content {
    Content { mode, blob: blob.to_owned() }
}

fn change(path: &[u8], kind: Kind, churn: Option<(u64, u64)>) -> Change {
    let churn = churn.map(|(added, deleted)| Churn { added, deleted });
    Change { path: Path::from_git(path), kind, churn }
}

async fn parse(log: &str) -> Result<Vec<Step>, Problem> {
    steps(log.as_bytes()).await
}

#[tokio::test]
async fn every_kind_of_change_is_read() {
    let log = [
        &head(1, "parent other"),
        &format!("\n:000000 100644 {NONE} {NEW} A\0added\0"),
        &format!(":100644 000000 {OLD} {NONE} D\0deleted\0"),
        &format!(":100644 100755 {OLD} {OLD} M\0mode\0"),
        &format!(":100644 100644 {OLD} {NEW} R087\0old\0new\0"),
        &format!(":120000 100644 {OLD} {NEW} T\0type\0"),
        "1\t0\tadded\0",
        "0\t7\tdeleted\0",
        "0\t0\tmode\0",
        "-\t-\t\0old\0new\0",
        "2\t1\ttype\0",
    ];
    let steps = parse(&log.concat()).await.unwrap();
    let renamed =
        Kind::Renamed { from: Path::from_git(b"old"), content: content(Mode::Plain, NEW) };
    let expected = [
        change(b"added", Kind::Added(content(Mode::Plain, NEW)), Some((1, 0))),
        change(b"deleted", Kind::Deleted, Some((0, 7))),
        change(b"mode", Kind::Edited(content(Mode::Executable, OLD)), Some((0, 0))),
        change(b"new", renamed, None),
        change(b"type", Kind::Edited(content(Mode::Plain, NEW)), Some((2, 1))),
    ];
    assert_eq!(steps[0].changes, expected);
    assert_eq!(steps[0].commit.parent.as_deref(), Some("parent"));
    assert_eq!(steps[0].churn(), Churn { added: 3, deleted: 8 });
}

#[tokio::test]
async fn a_commit_without_changes_is_a_step() {
    let steps = parse(&[head(1, ""), head(2, "hash1"), head(3, "hash2")].concat()).await.unwrap();
    assert_eq!(steps.len(), 3);
    assert!(steps.iter().all(|step| step.changes.is_empty()));
    assert_eq!(steps[0].commit.parent, None);
}

#[tokio::test]
async fn paths_and_subjects_that_look_like_something_else_are_taken_for_what_they_are() {
    let path = ":100644 000000 commit";
    let log = [
        "commit\0hash\0\0commit\0\0not a time\0:100644 commit\0",
        &format!("\n:000000 100644 {NONE} {NEW} A\0{path}\0"),
        &format!(":000000 100644 {NONE} {NEW} A\0commit\0"),
        &format!("1\t0\t{path}\0"),
        "2\t0\tcommit\0",
    ];
    let steps = parse(&log.concat()).await.unwrap();
    let paths: Vec<_> = steps[0].changes.iter().map(|change| change.path.key()).collect();
    assert_eq!(paths, [path, "commit"]);
    assert_eq!(steps[0].commit.time, None);
    assert_eq!(steps[0].commit.author, "commit <>");
}

#[tokio::test]
async fn output_that_ends_too_early_or_is_not_as_documented_is_an_error() {
    let whole =
        [&head(1, "")[..], &format!("\n:000000 100644 {NONE} {NEW} A\0path\0"), "1\t0\tpath\0"]
            .concat();
    assert_eq!(parse(&whole).await.unwrap().len(), 1);
    for length in 1..whole.len() {
        let cut = &whole[..length];
        assert!(length == head(1, "").len() || parse(cut).await.is_err(), "{cut:?}");
    }
    for wrong in ["1\t0\tother\0", "1\tx\tpath\0", "1\t-\tpath\0", "garbage\0", "1\t0\tpath\0\0"] {
        let log = whole.replace("1\t0\tpath\0", wrong);
        assert!(parse(&log).await.is_err(), "{wrong:?}");
    }
    assert!(parse("").await.unwrap().is_empty());
}
