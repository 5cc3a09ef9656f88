//! The tree as of a commit: files, kinds, blobs, and the lines in them.

use std::{collections::BTreeMap, fmt::Display};

use super::Check;
use crate::{
    file::{Content, File, Lines},
    git::{self, Measure},
    path::{Path, Shown},
    problem::Problem,
    tree::Tree,
};

impl Check<'_> {
    /// Compares a tree with that of git at a commit.
    pub(crate) async fn tree(&mut self, tree: &Tree, commit: &str) -> Result<(), Problem> {
        let mut gits = git::tree(self.repository, commit).await?;
        let at = &commit[..commit.len().min(12)];
        for (path, file) in tree.files.iter().filter(|(_, file)| file.content.is_some()) {
            match gits.remove(&path.to_git()) {
                Some(content) => self.file(at, path, file, &content).await?,
                None => self.differs(at, format_args!("{}: not in git", Shown(path.key()))),
            }
        }
        for path in gits.keys() {
            self.differs(at, format_args!("{}: not recorded", Shown(Path::from_git(path).key())));
        }
        Ok(())
    }

    async fn file(
        &mut self,
        at: &str,
        path: &Path,
        file: &File,
        gits: &Content,
    ) -> Result<(), Problem> {
        let measure = self.measure(gits).await?;
        self.same(
            format_args!("{at} {}", Shown(path.key())),
            "content",
            &file.content.as_ref(),
            &Some(gits),
        );
        let lines = file.lines.map(i64::cast_unsigned);
        self.lines(format_args!("{at} {}", Shown(path.key())), lines, measure);
        Ok(())
    }

    /// A file that is recorded as binary must be so; of another every line counts.
    pub(super) fn lines(&mut self, whose: impl Display, recorded: Lines, gits: Measure) {
        match recorded {
            Some(lines) => self.same(whose, "lines", &lines, &gits.lines),
            None => self.same(whose, "binary", &true, &gits.is_binary),
        }
    }

    /// The lines of a blob; most blobs are in many trees.
    async fn measure(&mut self, content: &Content) -> Result<Measure, Problem> {
        if let Some(measure) = self.measured.get(&content.blob) {
            return Ok(*measure);
        }
        let measure = self.blobs.measure(content).await?;
        self.measured.insert(content.blob.clone(), measure);
        Ok(measure)
    }

    /// The lines of git's files at a commit.
    pub(super) async fn measures(
        &mut self,
        commit: &str,
    ) -> Result<BTreeMap<Path, Measure>, Problem> {
        let mut measures = BTreeMap::new();
        for (path, content) in git::tree(self.repository, commit).await? {
            measures.insert(Path::from_git(&path), self.measure(&content).await?);
        }
        Ok(measures)
    }
}
