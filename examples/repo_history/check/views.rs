//! The read models, row by row.

use std::collections::BTreeSet;

use highwater::{Position, prelude::*};

use super::Check;
use crate::{
    git::{self, Link},
    path::{Path, Shown},
    problem::Problem,
    read::rows,
    tree::Tree,
    views::{AuthorChurn, Commits, FileLines},
};

impl Check<'_> {
    /// Lines per file: every file of git, and every file that there ever was in the log.
    pub(super) async fn file_lines(
        &mut self,
        tree: &Tree,
        tip: &str,
        head: Position,
    ) -> Result<(), Problem> {
        let gits = self.measures(tip).await?;
        let paths: BTreeSet<&Path> = gits.keys().chain(tree.files.keys()).collect();
        let found =
            rows::<FileLines>(self.highwater, paths.iter().map(|path| path.key()), head).await?;
        for path in paths {
            let row = found.get(path.key()).filter(|row| row.exists);
            let shown = Shown(path.key());
            let whose = format_args!("view {}, {shown}", FileLines::NAME);
            match (row, gits.get(path)) {
                (Some(row), Some(measure)) => self.lines(whose, row.lines, *measure),
                (Some(_), None) => self.differs(whose, "not in git"),
                (None, Some(_)) => self.differs(whose, "not in the view"),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Commits: a row for each of git's, in the order of their positions.
    pub(super) async fn commits(&mut self, line: &[Link], head: Position) -> Result<(), Problem> {
        let found = rows::<Commits>(self.highwater, hashes(line), head).await?;
        let mut last = 0;
        for link in line {
            let whose = format_args!("view {}, {}", Commits::NAME, link.commit);
            let position = found.get(link.commit.as_str()).map_or(0, |row| row.position);
            self.same(whose, "comes after its parent", &(position > last), &true);
            last = position;
        }
        Ok(())
    }

    /// Churn per author: those of git, and those whose commits are recorded. Gives their names.
    pub(super) async fn author_churn(
        &mut self,
        line: &[Link],
        tip: &str,
        head: Position,
    ) -> Result<Vec<String>, Problem> {
        let mut gits = git::churn(self.repository, tip).await?;
        let commits = rows::<Commits>(self.highwater, hashes(line), head).await?;
        for commit in commits.values() {
            gits.entry(commit.author.clone()).or_default();
        }
        let found =
            rows::<AuthorChurn>(self.highwater, gits.keys().map(String::as_str), head).await?;
        for (author, churn) in &gits {
            let whose = format_args!("view {}, {}", AuthorChurn::NAME, Shown(author));
            let row = found.get(author.as_str()).cloned().unwrap_or_default();
            self.same(whose, "churn", &row, churn);
        }
        drop(found);
        Ok(gits.into_keys().collect())
    }
}

fn hashes(line: &[Link]) -> impl Iterator<Item = &str> {
    line.iter().map(|link| link.commit.as_str())
}
