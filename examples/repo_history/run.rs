//! The program: record what is missing, wait for the views, report, check.

use std::{env, path::PathBuf};

use highwater::{Position, prelude::*};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    check::{Check, position_of},
    git::{Blobs, Log, Repository},
    history::{HISTORY, History},
    problem::Problem,
    progress::Progress,
    read::caught_up,
    record::{Recorder, Tally},
    report,
    tree::Tree,
    views::{AuthorChurn, Commits, FileLines},
};

/// How many states are kept in memory: the files of a large repository.
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

/// Runs the program; gives the differences between what was recorded and git.
pub(crate) async fn run(arguments: &Arguments) -> Result<Vec<String>, Problem> {
    let repository = Repository::open(&arguments.repository).await?;
    let head = repository.head().await?;
    let root = repository.root(&head).await?;
    let url = url(arguments.db.as_deref(), &repository, &root)?;
    let highwater = Highwater::builder(&url).await?.cached_states(STATES).build();
    match &arguments.tree {
        Some(commit) => show_tree(&repository, &highwater, &root, commit).await,
        None => record_and_check(arguments, &repository, &highwater, &root, &head, &url).await,
    }
}

async fn record_and_check(
    arguments: &Arguments,
    repository: &Repository,
    highwater: &Highwater,
    root: &str,
    head: &str,
    url: &str,
) -> Result<Vec<String>, Problem> {
    report::beginning(repository, root, url).await?;
    let tally = record(arguments, repository, highwater, root, head).await?;
    // Only now: while commits are recorded one after the other, each view would be committed after each
    // of them, and now it is once in 5,000 events.
    let files = ViewWorker::<FileLines>::start(highwater, Default::default()).await?;
    let authors = ViewWorker::<AuthorChurn>::start(highwater, Default::default()).await?;
    let commits = ViewWorker::<Commits>::start(highwater, Default::default()).await?;
    caught_up::<FileLines>(highwater, &tally.token).await?;
    caught_up::<AuthorChurn>(highwater, &tally.token).await?;
    caught_up::<Commits>(highwater, &tally.token).await?;

    let history = highwater.aggregate::<History>(HISTORY).load(AsOf::Now).await?;
    report::recorded(&tally, &history);
    let end = highwater.log().head().await?;
    let mut check = Check::new(highwater, repository, root)?;
    let keys = check.all(&history, end).await?;
    report::views(highwater, &keys, end).await?;
    for worker in [files.stop().await, authors.stop().await, commits.stop().await] {
        worker?;
    }
    report::outcome(&check.differences, check.compared);
    report::what_next(url);
    Ok(check.differences)
}

/// Sends the commands of what is not recorded yet.
pub(crate) async fn record(
    arguments: &Arguments,
    repository: &Repository,
    highwater: &Highwater,
    root: &str,
    head: &str,
) -> Result<Tally, Problem> {
    let history = highwater.aggregate::<History>(HISTORY).load(AsOf::Now).await?;
    let after =
        if arguments.resend { None } else { after(&history, repository, root, head).await? };
    let missing = repository.line(after.as_deref(), head).await?.len();
    let missing = missing.min(arguments.limit.unwrap_or(missing));
    let mut progress = Progress::of(missing as u64);
    let mut recorder = Recorder::new(highwater, Blobs::start(repository)?, root).await?;
    let mut log = Log::start(repository, after.as_deref(), head)?;
    for _ in 0..missing {
        let Some(step) = log.next().await? else { break };
        recorder.record(&step).await?;
        progress.show(&recorder.tally);
    }
    progress.finish();
    Ok(recorder.tally)
}

/// The last commit that is recorded, if the history goes on from there to `head`.
async fn after(
    history: &History,
    repository: &Repository,
    root: &str,
    head: &str,
) -> Result<Option<String>, Problem> {
    if let Some(recorded) = history.first.clone().filter(|first| first != root) {
        return Err(Problem::OtherRepository { recorded, found: root.to_owned() });
    }
    let Some(tip) = history.tip.clone() else { return Ok(None) };
    let other_branch = || Problem::OtherBranch { recorded: tip.clone(), head: head.to_owned() };
    let line = repository.line(Some(&tip), head).await.map_err(|_| other_branch())?;
    match line.first() {
        Some(next) if next.parent.as_ref() != Some(&tip) => Err(other_branch()),
        _ => Ok(Some(tip)),
    }
}

async fn show_tree(
    repository: &Repository,
    highwater: &Highwater,
    root: &str,
    commit: &str,
) -> Result<Vec<String>, Problem> {
    let commit = repository.commit(commit).await?;
    let position = position_of(highwater, root, &commit).await?;
    let position: Position = position.ok_or_else(|| Problem::NotRecorded(commit.clone()))?;
    let mut tree = Tree::default();
    tree.advance(highwater, position).await?;
    let mut check = Check::new(highwater, repository, root)?;
    check.tree(&tree, &commit).await?;
    report::tree(&tree, &commit, position);
    report::outcome(&check.differences, check.compared);
    Ok(check.differences)
}

/// What in a path would be something else in the URL of a store.
const RESERVED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

/// The URL of the store: what was asked for, or a file of the repository's own.
fn url(db: Option<&str>, repository: &Repository, root: &str) -> Result<String, Problem> {
    let schemes = ["sqlite:", "postgres:", "postgresql:", "memory:"];
    match db {
        Some(url) if schemes.iter().any(|scheme| url.starts_with(scheme)) => Ok(url.to_owned()),
        Some(file) => Ok(format!("sqlite:{}", utf8_percent_encode(file, RESERVED))),
        None => {
            let folder =
                env::var_os("HIGHWATER_EXAMPLE_DIR").map_or_else(env::temp_dir, PathBuf::from);
            let name = format!("highwater-history-{}-{:.12}.db", repository.name(), root);
            let file = folder.join(name);
            let file = file.to_str().ok_or_else(|| Problem::Folder(file.clone()))?;
            Ok(format!("sqlite:{}", utf8_percent_encode(file, RESERVED)))
        }
    }
}
