//! The check against git: what was recorded, against what git says in other ways.
//!
//! Recorded was what `git log --raw --numstat` said. The check takes the files of a commit from
//! `ls-tree`, counts the lines of their blobs itself, and has each author's churn added up by
//! `--shortstat`.
//!
//! | File | What is in it |
//! |---|---|
//! | `trees` | the tree as of some commits |
//! | `views` | the read models |

mod trees;
mod views;

use std::{
    collections::HashMap,
    fmt::{Debug, Display},
};

use highwater::{Position, prelude::*};

use crate::{
    git::{Blobs, Link, Measure, Repository},
    history::History,
    path::Path,
    problem::Problem,
    record::commit_id,
    report::Keys,
    tree::Tree,
};

/// At how many commits besides the last the tree is compared.
const SAMPLES: usize = 4;

/// Compares, and collects the differences.
pub(crate) struct Check<'a> {
    highwater: &'a Highwater,
    repository: &'a Repository,
    root: &'a str,
    blobs: Blobs,
    measured: HashMap<String, Measure>,
    pub(crate) differences: Vec<String>,
    /// The number of compared figures.
    pub(crate) compared: u64,
}

impl<'a> Check<'a> {
    pub(crate) fn new(
        highwater: &'a Highwater,
        repository: &'a Repository,
        root: &'a str,
    ) -> Result<Self, Problem> {
        let blobs = Blobs::start(repository)?;
        let (measured, differences) = (HashMap::new(), Vec::new());
        Ok(Self { highwater, repository, root, blobs, measured, differences, compared: 0 })
    }

    /// Compares everything that is recorded: the commits, the tree at some of them, and the views,
    /// which must have been fed up to `head`. Gives the keys that the views then have rows for.
    pub(crate) async fn all(&mut self, history: &History, head: Position) -> Result<Keys, Problem> {
        let Some(tip) = &history.tip else { return Ok(Keys::default()) };
        let line = self.repository.line(None, tip).await?;
        self.same("the history", "commits", &history.commits, &(line.len() as u64));
        let mut tree = Tree::default();
        for link in samples(&line) {
            match position_of(self.highwater, self.root, &link.commit).await? {
                None => self.differs(&link.commit, "is not recorded"),
                Some(position) => {
                    tree.advance(self.highwater, position).await?;
                    self.tree(&tree, &link.commit).await?;
                }
            }
        }
        // Events after the last commit must be checked, too.
        tree.advance(self.highwater, head).await?;
        self.file_lines(&tree, tip, head).await?;
        self.commits(&line, head).await?;
        let authors = self.author_churn(&line, tip, head).await?;
        let files = tree.files.keys().map(Path::to_string).collect();
        let commits = line.into_iter().map(|link| link.commit).collect();
        Ok(Keys { files, authors, commits })
    }

    /// Compares two figures. Whose they are is put into words only if they differ.
    fn same<T: PartialEq + Debug>(&mut self, whose: impl Display, what: &str, ours: &T, gits: &T) {
        self.compared += 1;
        if ours != gits {
            self.differs(whose, format_args!("{what}: recorded {ours:?}, git says {gits:?}"));
        }
    }

    fn differs(&mut self, whose: impl Display, how: impl Display) {
        self.differences.push(format!("{whose}: {how}"));
    }
}

/// The position at which the recording of a commit ended: the state there is that of the commit.
pub(crate) async fn position_of(
    highwater: &Highwater,
    root: &str,
    commit: &str,
) -> Result<Option<Position>, Problem> {
    let command = highwater.log().find_command(commit_id(root, commit)).await?;
    Ok(command.map(|command| command.appended.position))
}

/// The last commit, and some before it, evenly spread, the oldest first.
fn samples(line: &[Link]) -> impl Iterator<Item = &Link> {
    let step = (line.len() / (SAMPLES + 1)).max(1);
    let last = line.len().saturating_sub(1);
    line.iter()
        .enumerate()
        .filter(move |(at, _)| *at == last || at % step == 0)
        .map(|(_, link)| link)
}
