//! The program: record what is missing, feed the views, compare with git, report.

use std::{env, io::Write, path::PathBuf};

use highwater::prelude::*;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    check::{Check, position_of},
    feed,
    git::{Blobs, Log, Repository},
    history::{HISTORY, History},
    problem::Problem,
    progress::Progress,
    record::{Recorder, Tally},
    report::Report,
    tree::Tree,
};

/// The number of cached states: the files of a large repository.
const STATES: usize = 100_000;

/// Reads the history of a git repository as events, builds read models, and compares them with git.
#[derive(Debug, Clone, clap::Parser)]
pub(crate) struct Arguments {
    /// The repository, or a folder in it.
    #[arg(default_value = ".")]
    pub(crate) repository: PathBuf,
    /// A SQLite file, or the URL of a store; by default a file in the temporary folder, or in
    /// HIGHWATER_EXAMPLE_DIR, named after the repository.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) db: Option<String>,
    /// Show the files as of this commit, from the log, and compare them with git.
    #[arg(long, value_name = "COMMIT", conflicts_with_all = ["limit", "resend"])]
    pub(crate) tree: Option<String>,
    /// Record so many commits at the most.
    #[arg(long, value_name = "COMMITS")]
    pub(crate) limit: Option<usize>,
    /// Send the commands of all commits again, also of those that are recorded.
    #[arg(long)]
    pub(crate) resend: bool,
}

/// Runs the program; gives the differences between what is recorded and git.
pub(crate) async fn run(arguments: &Arguments, out: impl Write) -> Result<Vec<String>, Problem> {
    let repository = Repository::open(&arguments.repository).await?;
    let head = repository.head().await?;
    let root = repository.root(&head).await?;
    let url = url(arguments.db.as_deref(), &repository, &root)?;
    let highwater = Highwater::builder(&url).await?.cached_states(STATES).build();
    let mut run = Run { repository, head, root, highwater, report: Report(out) };
    match &arguments.tree {
        Some(commit) => run.show_tree(commit).await,
        None => run.record_and_check(arguments, &url).await,
    }
}

struct Run<W> {
    repository: Repository,
    /// The commit up to which to record.
    head: String,
    /// The first commit, which stands for the repository.
    root: String,
    highwater: Highwater,
    report: Report<W>,
}

impl<W: Write> Run<W> {
    async fn record_and_check(
        &mut self,
        arguments: &Arguments,
        url: &str,
    ) -> Result<Vec<String>, Problem> {
        self.report.beginning(&self.repository, &self.root, url).await?;
        let tally = self.record(arguments).await?;
        // Only now: while commits are recorded one after the other, each view would be committed after
        // each of them, and now it is once in 5,000 events.
        let worker = feed::start(&self.highwater).await?;
        feed::catch_up_all(&self.highwater, &tally.token).await?;

        let history = self.history().await?;
        let end = self.highwater.log().head().await?;
        self.report.recorded(&tally, &history, end)?;
        let mut check = Check::new(&self.highwater, &self.repository, &self.root)?;
        let keys = check.all(&history, end).await?;
        self.report.views(&self.highwater, &keys, end).await?;
        worker.stop().await?;
        self.report.outcome(&check.differences, check.compared)?;
        self.report.what_next()?;
        Ok(check.differences)
    }

    async fn history(&self) -> Result<History, Problem> {
        Ok(self.highwater.aggregate::<History>(HISTORY).load(AsOf::Now).await?.state)
    }

    /// Sends the commands of what is not recorded yet, or of all.
    async fn record(&self, arguments: &Arguments) -> Result<Tally, Problem> {
        let recorded = self.recorded().await?;
        let after = recorded.as_deref().filter(|_| !arguments.resend);
        let missing = self.repository.line(after, &self.head).await?.len();
        let missing = missing.min(arguments.limit.unwrap_or(missing));
        let mut progress = Progress::of(missing as u64);
        let blobs = Blobs::start(&self.repository)?;
        let mut recorder = Recorder::new(&self.highwater, blobs, &self.root).await?;
        let mut log = Log::start(&self.repository, after, &self.head)?;
        for _ in 0..missing {
            let Some(step) = log.next().await? else { break };
            recorder.record(&step).await?;
            progress.show(&recorder.tally);
        }
        progress.finish();
        Ok(recorder.tally)
    }

    /// The last commit that is recorded, if the history goes on from there or is at an earlier one.
    async fn recorded(&self) -> Result<Option<String>, Problem> {
        let history = self.history().await?;
        if let Some(recorded) = history.first.filter(|first| *first != self.root) {
            return Err(Problem::OtherRepository { recorded, found: self.root.clone() });
        }
        let Some(tip) = history.tip else { return Ok(None) };
        let line = self.repository.line(Some(&tip), &self.head).await;
        match line.as_ref().map(|line| line.first()) {
            Ok(None) => Ok(Some(tip)),
            Ok(Some(next)) if next.parent.as_ref() == Some(&tip) => Ok(Some(tip)),
            _ => Err(Problem::OtherBranch { recorded: tip, head: self.head.clone() }),
        }
    }

    async fn show_tree(&mut self, commit: &str) -> Result<Vec<String>, Problem> {
        let commit = self.repository.commit(commit).await?;
        let position = position_of(&self.highwater, &self.root, &commit).await?;
        let position = position.ok_or_else(|| Problem::NotRecorded(commit.clone()))?;
        let mut tree = Tree::default();
        tree.advance(&self.highwater, position).await?;
        let mut check = Check::new(&self.highwater, &self.repository, &self.root)?;
        check.tree(&tree, &commit).await?;
        self.report.tree(&tree, &commit, position)?;
        self.report.outcome(&check.differences, check.compared)?;
        Ok(check.differences)
    }
}

/// The characters of a path that have a meaning in the URL of a store, and are escaped.
const RESERVED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

/// The URL of the store: what was asked for, or a file of the repository's own.
fn url(db: Option<&str>, repository: &Repository, root: &str) -> Result<String, Problem> {
    let file = |path: &str| format!("sqlite:{}", utf8_percent_encode(path, RESERVED));
    let is_url =
        |db: &str| db.contains("://") || db.starts_with("sqlite:") || db.starts_with("memory:");
    match db {
        Some(url) if is_url(url) => Ok(url.to_owned()),
        Some(path) => Ok(file(path)),
        None => {
            let folder = env::var_os("HIGHWATER_EXAMPLE_DIR");
            let folder = folder.map_or_else(env::temp_dir, PathBuf::from);
            let name = format!("highwater-history-{}-{root:.12}.db", repository.name());
            let path = folder.join(name);
            path.to_str().map(file).ok_or_else(|| Problem::Folder(path.clone()))
        }
    }
}
