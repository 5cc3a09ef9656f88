//! One file's part in a commit.
//!
//! Git prints the difference of a commit twice: `--raw` says what became of each file (kind, blob, and
//! how it changed), then `--numstat` says how many lines were added and deleted. Both are in the same
//! order.

use serde::{Deserialize, Serialize};
use tokio::io::AsyncBufRead;

use super::tokens::Tokens;
use crate::{
    file::{Content, Mode},
    path::Path,
    problem::Problem,
};

const LOG: &str = "log";

/// The change of one file in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: Path,
    pub(crate) kind: Kind,
    /// `None` if git doesn't count, because one side is binary.
    pub(crate) churn: Option<Churn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Added(Content),
    /// The blob, the mode or the type is another.
    Edited(Content),
    /// The path is the new one; the content may have been edited, too.
    Renamed {
        from: Path,
        content: Content,
    },
    Deleted,
}

/// Lines added and deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Churn {
    pub(crate) added: u64,
    pub(crate) deleted: u64,
}

impl Churn {
    pub(crate) const fn sum(self) -> u64 {
        self.added + self.deleted
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { added: self.added + other.added, deleted: self.deleted + other.deleted }
    }
}

/// The changes of a commit, as git prints them.
#[derive(Default)]
pub(super) struct Changes {
    changes: Vec<Change>,
    counted: usize,
}

impl Changes {
    /// Reads a change of `--raw`: `:100644 100644 <old blob> <new blob> R095`, the path, and for a
    /// rename the new path.
    pub(super) async fn raw(
        &mut self,
        head: &[u8],
        tokens: &mut Tokens<impl AsyncBufRead + Unpin>,
    ) -> Result<(), Problem> {
        let unexpected = || Problem::unexpected(LOG, "a change as of --raw", head);
        let fields: Vec<&[u8]> = head.split(|byte| *byte == b' ').collect();
        let [_, mode, _, blob, status] = fields[..] else { return Err(unexpected()) };
        let content = Mode::from_git(mode).map(|mode| {
            let blob = String::from_utf8_lossy(blob).into_owned();
            Content { mode, blob }
        });
        let path = Path::from_git(tokens.expect("a path").await?);
        let (path, kind) = match (status.first(), content) {
            (Some(b'A'), Some(content)) => (path, Kind::Added(content)),
            (Some(b'M' | b'T'), Some(content)) => (path, Kind::Edited(content)),
            (Some(b'D'), None) => (path, Kind::Deleted),
            (Some(b'R'), Some(content)) => {
                let to = Path::from_git(tokens.expect("the new path").await?);
                (to, Kind::Renamed { from: path, content })
            }
            _ => return Err(unexpected()),
        };
        self.changes.push(Change { path, kind, churn: None });
        Ok(())
    }

    /// Reads the counts of `--numstat` for the next change: `1<tab>2<tab>path`, or without the path and
    /// then the old path and the new one. A file that git doesn't count has `-` for a number.
    pub(super) async fn counts(
        &mut self,
        line: &[u8],
        tokens: &mut Tokens<impl AsyncBufRead + Unpin>,
    ) -> Result<(), Problem> {
        let unexpected = || Problem::unexpected(LOG, "the counts of the next change", line);
        let fields: Vec<&[u8]> = line.splitn(3, |byte| *byte == b'\t').collect();
        let [added, deleted, path] = fields[..] else { return Err(unexpected()) };
        let churn = match (added, deleted) {
            (b"-", b"-") => None,
            _ => match (number(added), number(deleted)) {
                (Some(added), Some(deleted)) => Some(Churn { added, deleted }),
                _ => return Err(unexpected()),
            },
        };
        let path = match path {
            b"" => {
                tokens.expect("the old path").await?;
                Path::from_git(tokens.expect("the new path").await?)
            }
            path => Path::from_git(path),
        };
        let next = self.changes.get_mut(self.counted).filter(|change| change.path == path);
        next.ok_or_else(unexpected)?.churn = churn;
        self.counted += 1;
        Ok(())
    }

    /// All of them, in the order of their paths, whatever order git was told to print them in.
    pub(super) fn finish(mut self) -> Result<Vec<Change>, Problem> {
        if let Some(change) = self.changes.get(self.counted) {
            let path = change.path.key().as_bytes();
            return Err(Problem::unexpected(LOG, "the counts of every change", path));
        }
        self.changes.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(self.changes)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
