//! The report that the program prints.

use std::io::Write;

use highwater::{Position, prelude::*};
use jiff::Timestamp;

use crate::{
    git::Repository,
    history::History,
    path::Shown,
    problem::Problem,
    read::rows,
    record::Tally,
    tree::Tree,
    views::{AuthorChurn, Commits, FileLines},
};

/// The number of rows of a view that are shown.
const TOP: usize = 5;
/// The number of differences that are shown.
const DIFFERENCES: usize = 20;

const WHAT_NEXT: &str = "
what to try next:
- run it again: nothing is appended. With `-- --resend` every command is sent again, and its id makes
  that change nothing either
- run it on a large repository, stop it in the middle (Ctrl-C or kill -9), and run it again
- `-- --tree HEAD~1`: the files as of a commit, from the log, compared with git
- `cargo run --features postgres --example repo_history -- --db postgres://...`: another store";

/// Keys of the views' rows.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) files: Vec<String>,
    pub(crate) authors: Vec<String>,
    pub(crate) commits: Vec<String>,
}

/// The output of the program.
pub(crate) struct Report<W>(pub(crate) W);

impl<W: Write> Report<W> {
    pub(crate) async fn beginning(
        &mut self,
        repository: &Repository,
        root: &str,
        url: &str,
    ) -> Result<(), Problem> {
        let (name, url) = (repository.name(), without_password(url));
        writeln!(self.0, "{name} from commit {root:.12} on, into {url}")?;
        if repository.is_shallow().await? {
            writeln!(self.0, "(a shallow clone: its history begins where it was cut off)")?;
        }
        Ok(())
    }

    pub(crate) fn recorded(
        &mut self,
        tally: &Tally,
        history: &History,
        head: Position,
    ) -> Result<(), Problem> {
        let (Tally { commits, changes, start, .. }, new) = (tally, head.since(tally.start));
        writeln!(self.0, "sent: {commits} commits with {changes} changes")?;
        writeln!(self.0, "events: {new} are new in the log, {start} were there before")?;
        let History { commits, changes, .. } = history;
        writeln!(self.0, "recorded in all: {commits} commits with {changes} changes")?;
        Ok(())
    }

    /// The top of each view, with how fresh it is.
    pub(crate) async fn views(
        &mut self,
        highwater: &Highwater,
        keys: &Keys,
        head: Position,
    ) -> Result<(), Problem> {
        let files = rows::<FileLines>(highwater, texts(&keys.files), head).await?;
        let lines = |row: &FileLines| row.lines.filter(|_| row.exists).unwrap_or_default();
        self.title::<FileLines>(highwater, "the longest files").await?;
        for (path, row) in top(files, lines) {
            writeln!(self.0, "{:>9} lines  {}", lines(&row), Shown(path))?;
        }
        let authors = rows::<AuthorChurn>(highwater, texts(&keys.authors), head).await?;
        self.title::<AuthorChurn>(highwater, "the busiest authors").await?;
        for (author, AuthorChurn { commits, churn }) in top(authors, |row| row.churn.sum()) {
            let (added, deleted) = (format!("+{}", churn.added), format!("-{}", churn.deleted));
            let author = Shown(author);
            writeln!(self.0, "{added:>9} {deleted:>9}  {commits} commits  {author}")?;
        }
        let commits = rows::<Commits>(highwater, texts(&keys.commits), head).await?;
        self.title::<Commits>(highwater, "the latest commits").await?;
        for (hash, row) in top(commits, |row| row.position) {
            let (time, summary) = (time(row.time), Shown(&row.summary).to_string());
            writeln!(self.0, "{:>9} {hash:.12}  {time}  {summary:.60}", row.position)?;
        }
        Ok(())
    }

    async fn title<V: View>(&mut self, highwater: &Highwater, what: &str) -> Result<(), Problem> {
        let freshness = highwater.view::<V>().freshness().await?;
        writeln!(self.0, "\n{what} (view {} as of {freshness})", V::NAME)?;
        Ok(())
    }

    /// The files of a commit: mode, blob, lines, path.
    pub(crate) fn tree(
        &mut self,
        tree: &Tree,
        commit: &str,
        position: Position,
    ) -> Result<(), Problem> {
        writeln!(self.0, "commit {commit} is at position {position} of the log\n")?;
        for (path, file) in &tree.files {
            let Some(content) = &file.content else { continue };
            let lines = file.lines.map_or_else(|| "-".to_owned(), |lines| lines.to_string());
            let (mode, path) = (content.mode.as_octal(), Shown(path.key()));
            writeln!(self.0, "{mode} {:.12} {lines:>8}  {path}", content.blob)?;
        }
        Ok(())
    }

    pub(crate) fn outcome(&mut self, differences: &[String], compared: u64) -> Result<(), Problem> {
        let number = differences.len();
        writeln!(self.0, "\nchecked against git: {compared} figures, {number} differences")?;
        for difference in differences.iter().take(DIFFERENCES) {
            writeln!(self.0, "DIFFERENT: {difference}")?;
        }
        if number > DIFFERENCES {
            writeln!(self.0, "... and {} more", number - DIFFERENCES)?;
        }
        Ok(())
    }

    pub(crate) fn what_next(&mut self) -> Result<(), Problem> {
        writeln!(self.0, "{WHAT_NEXT}")?;
        Ok(())
    }
}

/// Removes the password from a URL.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) if scheme != "sqlite" => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let shown = without_password("postgres://me:hunter2@host/db");
        assert_eq!(shown, "postgres://host/db");
        assert_eq!(without_password("sqlite:a@b.db"), "sqlite:a@b.db");
    }
}
