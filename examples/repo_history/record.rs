//! Steps of the history become commands, one atomic command for each commit.

use highwater::{Aggregate as _, Position, StreamId, Token, execute::Atomic, prelude::*};

use crate::{
    file::{Add, Content, Delete, Edit, File, Lines, RenameAway, RenameHere, Replace},
    git::{Blobs, Change, Commit, Kind, Step},
    history::{HISTORY, History, RecordCommit, RecordPart},
    path::Shown,
    problem::Problem,
};

/// The number of changes in one append. Each is at most two events, and an append has at most 10,000.
const APPEND_SIZE: usize = 4_000;
/// The number of retries of a command, with the same id, after a transient error.
const MAX_RETRIES: usize = 10;

/// The work sent so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) commits: u64,
    pub(crate) changes: u64,
    /// The head of the log when the run began.
    pub(crate) start: Position,
    /// The token of everything that was sent.
    pub(crate) token: Token,
}

/// Sends commands.
pub(crate) struct Recorder<'a> {
    highwater: &'a Highwater,
    blobs: Blobs,
    /// The first commit, which stands for the repository in the ids of commands.
    root: &'a str,
    pub(crate) tally: Tally,
}

/// The id of the command that ends the recording of a commit. The same commit always has the same, so
/// a run that was killed, a second run, or two at once record it once (W4).
pub(crate) fn commit_id(root: &str, commit: &str) -> CommandId {
    CommandId::derive([root, commit])
}

fn part_id(root: &str, commit: &str, part: u64) -> CommandId {
    CommandId::derive([root, commit, "part", &part.to_string()])
}

impl<'a> Recorder<'a> {
    pub(crate) async fn new(
        highwater: &'a Highwater,
        blobs: Blobs,
        root: &'a str,
    ) -> Result<Self, Problem> {
        let start = highwater.log().head().await?;
        let tally = Tally { start, token: Token::at(start), ..Tally::default() };
        Ok(Self { highwater, blobs, root, tally })
    }

    /// Records a step. A commit with more changes than one append may hold is recorded in parts, and
    /// counts as recorded with the last.
    pub(crate) async fn record(&mut self, step: &Step) -> Result<(), Problem> {
        let commit = &step.commit;
        let lines = self.lines_of(step).await?;
        let changes: Vec<_> = step.changes.iter().zip(lines).collect();
        let (parts, last) =
            changes.split_at(changes.len().saturating_sub(1) / APPEND_SIZE * APPEND_SIZE);
        for (part, changes) in (1..).zip(parts.chunks(APPEND_SIZE)) {
            let id = part_id(self.root, &commit.hash, part);
            let record =
                || RecordPart { commit: commit.hash.clone(), parent: commit.parent.clone(), part };
            self.send(id, commit, changes, |atomic| atomic.on::<History, _>(HISTORY, record()))
                .await?;
        }
        let record = || RecordCommit {
            commit: commit.clone(),
            changes: step.changes.len() as u64,
            churn: step.churn(),
        };
        let id = commit_id(self.root, &commit.hash);
        self.send(id, commit, last, |atomic| atomic.on::<History, _>(HISTORY, record())).await?;
        self.tally.commits += 1;
        self.tally.changes += step.changes.len() as u64;
        Ok(())
    }

    /// The lines of each file after the step, as far as they can't be told from what git counted.
    async fn lines_of(&mut self, step: &Step) -> Result<Vec<Lines>, Problem> {
        let mut lines = Vec::with_capacity(step.changes.len());
        for change in &step.changes {
            must_name_a_stream(&step.commit, change)?;
            lines.push(match (&change.kind, change.churn) {
                (Kind::Added(_), Some(churn)) => Some(churn.added),
                (Kind::Deleted, _) | (Kind::Edited(_), Some(_)) => None,
                (Kind::Added(content) | Kind::Edited(content), None)
                | (Kind::Renamed { content, .. }, _) => {
                    self.blobs.measure(content).await?.counted()
                }
            });
        }
        Ok(lines)
    }

    async fn send(
        &mut self,
        id: CommandId,
        commit: &Commit,
        changes: &[(&Change, Lines)],
        closing: impl Fn(Atomic) -> Atomic,
    ) -> Result<(), Problem> {
        let mut tries = 0;
        let receipt = loop {
            let atomic = closing(changes.iter().fold(self.highwater.atomically(), add));
            let request = Request::new(()).id(id).actor(&commit.author);
            match atomic.execute_as(request.with("commit", &commit.hash)).await {
                Err(error) if error.is_retryable() && tries < MAX_RETRIES => tries += 1,
                outcome => break outcome?,
            }
        };
        self.tally.token = self.tally.token.merge(receipt.token());
        Ok(())
    }
}

/// Adds the command for a change; a rename is a command to each of the two files.
fn add(atomic: Atomic, (change, lines): &(&Change, Lines)) -> Atomic {
    let (path, lines) = (&change.path, *lines);
    let content = Content::clone;
    match (&change.kind, change.churn) {
        (Kind::Added(now), _) => atomic.on::<File, _>(path, Add { content: content(now), lines }),
        (Kind::Edited(now), Some(churn)) => {
            let edit = Edit { content: content(now), added: churn.added, deleted: churn.deleted };
            atomic.on::<File, _>(path, edit)
        }
        (Kind::Edited(now), None) => {
            atomic.on::<File, _>(path, Replace { content: content(now), lines })
        }
        (Kind::Renamed { from, content: now }, _) => {
            let here = RenameHere { from: from.clone(), content: content(now), lines };
            let away = RenameAway { to: path.clone() };
            atomic.on::<File, _>(from, away).on::<File, _>(path, here)
        }
        (Kind::Deleted, _) => atomic.on::<File, _>(path, Delete {}),
    }
}

/// A path that is too long for the id of a stream is told with its commit; all before it is recorded.
fn must_name_a_stream(commit: &Commit, change: &Change) -> Result<(), Problem> {
    match StreamId::new(File::CATEGORY, &change.path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::Path {
            commit: commit.hash.clone(),
            path: format!("{:.100}", Shown(change.path.key()).to_string()),
            reason: error.to_string(),
        }),
    }
}
