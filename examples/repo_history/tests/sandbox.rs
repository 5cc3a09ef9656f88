//! A folder with a repository and a database.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Parser as _;
use highwater::{Envelope, Highwater, Position, Query, port::ReadFrom, prelude::*};

use crate::{
    problem::Problem,
    run::{Arguments, run},
};

pub(super) struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    /// An empty repository, and no database yet.
    pub(super) fn new() -> Self {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        sandbox.git(&["init", "--quiet", "--initial-branch=main", "."]);
        sandbox
    }

    /// A repository with the history that a stream for `git fast-import` describes.
    pub(super) fn with(stream: &[u8]) -> Self {
        let sandbox = Self::new();
        sandbox.import(stream);
        sandbox
    }

    pub(super) fn import(&self, stream: &[u8]) {
        let mut git = git(&self.repository(), &["fast-import", "--quiet", "--force"]);
        let mut git = git.stdin(Stdio::piped()).spawn().unwrap();
        git.stdin.take().unwrap().write_all(stream).unwrap();
        assert!(git.wait().unwrap().success());
    }

    pub(super) fn repository(&self) -> PathBuf {
        let repository = self.folder.path().join("repository");
        std::fs::create_dir_all(&repository).unwrap();
        repository
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn db(&self) -> String {
        self.path("history.db").to_str().unwrap().to_owned()
    }

    /// Runs git in the repository and gives what it prints.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        let output = git(&self.repository(), arguments).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Commits a working tree as it is.
    pub(super) fn commit(&self, files: &[(&str, &[u8])]) {
        for (path, content) in files {
            File::create(self.repository().join(path)).unwrap().write_all(content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=files"]);
    }

    /// Runs the program on the repository, with its database.
    pub(super) async fn run(&self, options: &[&str]) -> Result<Vec<String>, Problem> {
        self.run_on(&self.repository(), &self.db(), options).await
    }

    pub(super) async fn run_on(
        &self,
        repository: &Path,
        db: &str,
        options: &[&str],
    ) -> Result<Vec<String>, Problem> {
        let repository = repository.to_str().unwrap();
        let arguments = ["repo_history", repository, "--db", db];
        run(&Arguments::parse_from(arguments.iter().chain(options)), io::sink()).await
    }

    pub(super) async fn open(&self) -> Highwater {
        open(&self.db()).await
    }
}

pub(super) async fn open(db: &str) -> Highwater {
    Highwater::open(&format!("sqlite:{db}")).await.unwrap()
}

/// Everything in a log.
pub(super) async fn events(highwater: &Highwater) -> Vec<Envelope> {
    let all = Query::all();
    let page = highwater.log().read_log(&all, ReadFrom::After(Position::START), usize::MAX >> 1);
    page.await.unwrap().events
}

/// Returns a git command that ignores the configuration of the user who runs the tests.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(variable);
    }
    git.current_dir(folder)
        .args(["-c", "user.name=Tester", "-c", "user.email=tester@example.org"])
        .args(["-c", "commit.gpgSign=false", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    git
}
