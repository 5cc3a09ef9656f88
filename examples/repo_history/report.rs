//! What the program prints.

use highwater::{Position, prelude::*};
use jiff::Timestamp;

use crate::{
    git::Repository,
    history::History,
    path::{Path, shown},
    problem::Problem,
    read::rows,
    record::Tally,
    tree::Tree,
    views::{AuthorChurn, Commits, FileLines},
};
/// How many rows of a view are shown.
const TOP: usize = 5;
/// How many differences are shown.
const DIFFERENCES: usize = 20;

/// Keys of the views' rows.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) files: Vec<String>,
    pub(crate) authors: Vec<String>,
    pub(crate) commits: Vec<String>,
}

pub(crate) async fn beginning(
    repository: &Repository,
    root: &str,
    url: &str,
) -> Result<(), Problem> {
    let shallow =
        if repository.is_shallow().await? { " (a shallow clone: cut off there)" } else { "" };
    println!("{}, from commit {root:.12}{shallow}, into {url}", repository.name());
    Ok(())
}

pub(crate) fn recorded(tally: &Tally, history: &History) {
    let Tally { commits, changes, appended, found, .. } = tally;
    println!("sent: {commits} commits with {changes} changes");
    println!("events: {appended} appended now, {found} found there already");
    println!("recorded in all: {} commits with {} changes", history.commits, history.changes);
}

/// The top of each view, with how fresh it is.
pub(crate) async fn views(
    highwater: &Highwater,
    keys: &Keys,
    head: Position,
) -> Result<(), Problem> {
    let files = rows::<FileLines>(highwater, texts(&keys.files), head).await?;
    let lines = |row: &FileLines| row.lines.filter(|_| row.exists).unwrap_or_default();
    title::<FileLines>(highwater, "the longest files").await?;
    for (path, row) in top(files, lines) {
        println!("{:>9} lines  {}", lines(&row), shown(&Path::of_key(path)));
    }
    let authors = rows::<AuthorChurn>(highwater, texts(&keys.authors), head).await?;
    title::<AuthorChurn>(highwater, "the busiest authors").await?;
    for (author, AuthorChurn { commits, churn }) in top(authors, |row| row.churn.sum()) {
        let (added, deleted) = (format!("+{}", churn.added), format!("-{}", churn.deleted));
        println!("{added:>9} {deleted:>9}  {commits} commits  {}", author.escape_debug());
    }
    let commits = rows::<Commits>(highwater, texts(&keys.commits), head).await?;
    title::<Commits>(highwater, "the latest commits").await?;
    for (hash, row) in top(commits, |row| row.position) {
        let (time, summary) = (time(row.time), row.summary.escape_debug().to_string());
        println!("{:>9} {hash:.12}  {time}  {summary:.60}", row.position);
    }
    Ok(())
}

async fn title<V: View>(highwater: &Highwater, what: &str) -> Result<(), Problem> {
    let freshness = highwater.view::<V>().freshness().await?;
    println!("\n{what} (view {} as of {freshness})", V::NAME);
    Ok(())
}

fn texts(keys: &[String]) -> impl Iterator<Item = &str> {
    keys.iter().map(String::as_str)
}

fn top<K, V>(rows: impl IntoIterator<Item = (K, V)>, by: impl Fn(&V) -> u64) -> Vec<(K, V)> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(by(row)));
    rows.truncate(TOP);
    rows
}

/// Git stores any number as the time of a commit.
fn time(seconds: Option<i64>) -> String {
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "(no time)".to_owned(), |time| time.to_string())
}

/// The files of a commit: mode, lines, path.
pub(crate) fn tree(tree: &Tree, commit: &str, position: Position) {
    println!("commit {commit} is at position {position} of the log\n");
    for (path, file) in &tree.files {
        let Some(content) = &file.content else { continue };
        let lines = file.lines.map_or_else(|| "-".to_owned(), |lines| lines.to_string());
        println!("{} {:.12} {lines:>8}  {}", content.mode.as_octal(), content.blob, shown(path));
    }
}

pub(crate) fn outcome(differences: &[String], compared: u64) {
    for difference in differences.iter().take(DIFFERENCES) {
        println!("DIFFERENT FROM GIT: {difference}");
    }
    let more = differences.len().saturating_sub(DIFFERENCES);
    if more > 0 {
        println!("... and {more} more");
    }
    println!("\nchecked against git: {compared} figures, {} differences", differences.len());
}

pub(crate) fn what_next(url: &str) {
    println!(
        "\nwhat to try next:\n\
         - run it again: nothing is appended. With -- --resend every command is sent again, and its id\n  \
           makes that change nothing either\n\
         - stop it in the middle of a large repository (Ctrl-C, or kill -9), and run it again\n\
         - -- --tree HEAD~1: the files as of a commit, from the log\n\
         - -- --db postgres://... with `cargo run --features postgres`: only the URL is another\n\
         the events are in {url}"
    );
}
