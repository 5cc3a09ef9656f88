//! The history, commit by commit, as git prints it: never more than one commit is in memory.

use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufRead, BufReader},
    process::{Child, ChildStdout},
};

use super::{
    change::{Change, Changes, Churn},
    repository::{Repository, finish},
    tokens::Tokens,
};
use crate::problem::Problem;

const LOG: &str = "log";
/// The first word of a commit. No line of `--raw` or `--numstat` begins so.
const COMMIT: &[u8] = b"commit";
const FORMAT: &str = "--format=commit%x00%H%x00%P%x00%an%x00%ae%x00%at%x00%s";
/// The length to which names and summaries are cut, in characters. Git sets no limit.
const MAX_TEXT_CHARS: usize = 200;

/// A commit, without its changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) hash: String,
    pub(crate) parent: Option<String>,
    pub(crate) author: String,
    /// When it was written, in seconds since 1970, if git can read that.
    pub(crate) time: Option<i64>,
    pub(crate) summary: String,
}

/// A step of the history: a commit, and what it changed against its first parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) commit: Commit,
    pub(crate) changes: Vec<Change>,
}

impl Step {
    pub(crate) fn churn(&self) -> Churn {
        self.changes.iter().filter_map(|change| change.churn).fold(Churn::default(), Churn::plus)
    }
}

/// The name of an author.
pub(crate) fn author(name: &str, mail: &str) -> String {
    shortened(&format!("{name} <{mail}>"))
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// The steps of a history, the oldest first, from a running git.
pub(crate) struct Log {
    git: Option<Child>,
    steps: Steps<BufReader<ChildStdout>>,
}

impl Log {
    /// The line of first parents up to `to`, from its beginning or from just after a commit.
    pub(crate) fn start(
        repository: &Repository,
        after: Option<&str>,
        to: &str,
    ) -> Result<Self, Problem> {
        let mut git = repository.git();
        git.args(["log", "--first-parent", "--diff-merges=first-parent", "--reverse"])
            .args(["--raw", "--numstat", "-z", "--no-abbrev", FORMAT, "--encoding=UTF-8"])
            .args(DIFFERENCE)
            .arg(to)
            .args(after.map(|after| format!("^{after}")))
            .arg("--")
            .stdout(Stdio::piped());
        let mut git = git.spawn().map_err(Problem::NoGit)?;
        let output = git.stdout.take().ok_or_else(|| Problem::unexpected(LOG, "output", b""))?;
        let steps = Steps::of(BufReader::with_capacity(1 << 16, output));
        Ok(Self { git: Some(git), steps })
    }

    /// The next step; `None` at the end. If git was ended in the middle of a step, that is an error,
    /// and the step is not given.
    pub(crate) async fn next(&mut self) -> Result<Option<Step>, Problem> {
        let step = self.steps.next().await;
        if self.steps.ended
            && let Some(git) = self.git.take()
        {
            finish(git, LOG).await?;
        }
        step
    }
}

/// Differences as this program counts them, whatever a configuration says.
pub(super) const DIFFERENCE: [&str; 10] = [
    "--find-renames=50%",
    "-l1000",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--ignore-submodules=none",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--no-color",
    "--no-notes",
];

/// Steps from what `git log` prints.
pub(super) struct Steps<R> {
    tokens: Tokens<R>,
    /// The beginning of a commit has been read.
    begun: bool,
    ended: bool,
}

impl<R: AsyncBufRead + Unpin> Steps<R> {
    pub(super) fn of(reader: R) -> Self {
        Self { tokens: Tokens::of(reader, LOG), begun: false, ended: false }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Step>, Problem> {
        if !std::mem::take(&mut self.begun) {
            match self.tokens.next().await? {
                Some(COMMIT) => {}
                Some(other) => return Err(Problem::unexpected(LOG, "a commit", other)),
                None => {
                    self.ended = true;
                    return Ok(None);
                }
            }
        }
        let commit = self.commit().await?;
        Ok(Some(Step { commit, changes: self.changes().await? }))
    }

    async fn commit(&mut self) -> Result<Commit, Problem> {
        let hash = self.tokens.text("a hash").await?;
        let parents = self.tokens.text("parents").await?;
        let name = self.tokens.text("a name").await?;
        let mail = self.tokens.text("an address").await?;
        let time = self.tokens.text("a time").await?.parse().ok();
        let summary = shortened(&self.tokens.text("a subject").await?);
        let parent = parents.split(' ').next().filter(|parent| !parent.is_empty());
        let parent = parent.map(str::to_owned);
        Ok(Commit { hash, parent, author: author(&name, &mail), time, summary })
    }

    async fn changes(&mut self) -> Result<Vec<Change>, Problem> {
        let mut changes = Changes::default();
        loop {
            let Some(token) = self.tokens.next().await? else {
                self.ended = true;
                break;
            };
            let token = token.strip_prefix(b"\n").unwrap_or(token).to_vec();
            match token.first() {
                Some(b':') => changes.raw(&token, &mut self.tokens).await?,
                Some(b'0'..=b'9' | b'-') => changes.counts(&token, &mut self.tokens).await?,
                _ if token == COMMIT => {
                    self.begun = true;
                    break;
                }
                _ => return Err(Problem::unexpected(LOG, "a change or a commit", &token)),
            }
        }
        changes.finish()
    }
}

/// All the steps in what git printed.
#[cfg(test)]
pub(crate) async fn steps(log: &[u8]) -> Result<Vec<Step>, Problem> {
    let mut steps = Steps::of(log);
    let mut all = Vec::new();
    while let Some(step) = steps.next().await? {
        all.push(step);
        if steps.ended {
            break;
        }
    }
    Ok(all)
}
