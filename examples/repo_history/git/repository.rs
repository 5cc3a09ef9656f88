//! Which repository, and its commits.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::{Child, Command};

use crate::problem::Problem;

/// A repository of git, with a working tree or without.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    folder: PathBuf,
    /// The tree without files, whose name depends on the repository's hash.
    empty_tree: String,
}

impl Repository {
    /// The repository that a folder stands in.
    pub(crate) async fn open(path: &Path) -> Result<Self, Problem> {
        let mut git = Command::new("git");
        git.arg("-C").arg(path).args(["rev-parse", "--absolute-git-dir"]);
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
            git.env_remove(variable);
        }
        let folder = PathBuf::from(line(&mut git, "rev-parse").await?);
        if !folder.is_dir() {
            return Err(Problem::Folder(folder));
        }
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&folder).args(["hash-object", "-t", "tree", "--stdin"]);
        let empty_tree = line(git.stdin(Stdio::null()), "hash-object").await?;
        Ok(Self { folder, empty_tree })
    }

    /// The display name.
    pub(crate) fn name(&self) -> String {
        let mut names = self.folder.iter().rev().map(OsStr::to_string_lossy);
        let name = names.find(|name| name != ".git").unwrap_or_default();
        name.strip_suffix(".git").unwrap_or(&name).to_owned()
    }

    /// Git in this repository, with all that could change its answers put out of the way: the same
    /// commit must always give the same command, or its id would be refused as that of another.
    ///
    /// Attributes are such a thing: git reads them from the working tree as it is today, and a file
    /// that is `-diff` there has no line count in all of history. So git is given no working tree, no
    /// index, an empty tree to read attributes from, and no files of the user's or the system's.
    /// Only `info/attributes` inside the repository can't be put out of the way.
    pub(crate) fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.folder)
            .arg("--bare")
            .arg("--git-dir")
            .arg(&self.folder)
            .args(["--no-replace-objects", "-c", "core.attributesFile=/dev/null"])
            .args(["-c", "log.showRoot=true", "-c", "log.showSignature=false"])
            .args(["-c", "core.bigFileThreshold=512m"])
            .env_remove("GIT_WORK_TREE")
            .env("GIT_INDEX_FILE", self.folder.join("no-such-index"))
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_ATTR_SOURCE", &self.empty_tree)
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        git
    }

    /// The commit that a name stands for.
    pub(crate) async fn commit(&self, name: &str) -> Result<String, Problem> {
        let commit = format!("{name}^{{commit}}");
        let unknown = |_| Problem::NoSuchCommit(name.to_owned());
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
        self.ask(&arguments).await.map_err(unknown)
    }

    /// The commit that is checked out.
    pub(crate) async fn head(&self) -> Result<String, Problem> {
        let no_commit = |_| Problem::NoCommit(self.folder.display().to_string());
        self.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await.map_err(no_commit)
    }

    /// Returns the first commit of the line of first parents. In a shallow clone that is the commit where it was cut off.
    pub(crate) async fn root(&self, commit: &str) -> Result<String, Problem> {
        self.ask(&["rev-list", "--first-parent", "--max-parents=0", commit]).await
    }

    pub(crate) async fn is_shallow(&self) -> Result<bool, Problem> {
        Ok(self.ask(&["rev-parse", "--is-shallow-repository"]).await? == "true")
    }

    /// The line of first parents up to `to`, from its beginning or from just after a commit, the
    /// oldest first, each with its parents.
    pub(crate) async fn line(&self, after: Option<&str>, to: &str) -> Result<Vec<Link>, Problem> {
        let mut git = self.git();
        git.args(["rev-list", "--first-parent", "--reverse", "--parents", to]);
        git.args(after.map(|after| format!("^{after}"))).arg("--");
        Ok(output(&mut git, "rev-list").await?.lines().map(Link::parse).collect())
    }

    async fn ask(&self, arguments: &[&str]) -> Result<String, Problem> {
        line(self.git().args(arguments), arguments[0]).await
    }
}

/// A commit and its first parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) commit: String,
    pub(crate) parent: Option<String>,
}

impl Link {
    fn parse(line: &str) -> Self {
        let mut words = line.split(' ').map(str::to_owned);
        Self { commit: words.next().unwrap_or_default(), parent: words.next() }
    }
}

async fn line(git: &mut Command, name: &str) -> Result<String, Problem> {
    Ok(output(git, name).await?.trim_end_matches('\n').to_owned())
}

/// Runs git to its end. What it says on failing becomes the error.
async fn output(git: &mut Command, name: &str) -> Result<String, Problem> {
    let output = git.output().await.map_err(Problem::NoGit)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let message = if said.is_empty() { output.status.to_string() } else { said };
    Err(Problem::Git { command: name.to_owned(), message })
}

/// Git has come to the end of what it prints: that was all only if it says that it succeeded.
pub(super) async fn finish(mut git: Child, command: &'static str) -> Result<(), Problem> {
    let status = git.wait().await.map_err(Problem::pipe(command))?;
    if status.success() {
        return Ok(());
    }
    Err(Problem::Git { command: command.to_owned(), message: status.to_string() })
}
