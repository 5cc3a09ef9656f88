//! The history itself: one stream, with an event for each commit, so that a commit has a place in the
//! log even if it changes no file.

use highwater::prelude::*;

use crate::git::{Churn, Commit};

/// The key of the only stream: a database holds one history.
pub(crate) const HISTORY: &str = "first-parents";

#[derive(Event, Debug, Clone, PartialEq)]
#[event(prefix = "history")]
pub(crate) enum HistoryEvent {
    /// A part of a commit that has more changes than one append may hold.
    PartRecorded { commit: String, part: u64 },
    /// The commit is recorded, with all its parts.
    Committed { commit: Commit, changes: u64, churn: Churn },
}

/// The state of the history. It puts the commits in a line: each command checks that it follows its parent, so a
/// commit can't be left out, recorded twice, or put in before another.
#[derive(Aggregate, Debug, Default, Clone)]
#[aggregate(event = HistoryEvent, snapshot(every = 1000))]
pub(crate) struct History {
    pub(crate) first: Option<String>,
    pub(crate) tip: Option<String>,
    pub(crate) commits: u64,
    pub(crate) changes: u64,
    /// The commit of which only some parts are recorded.
    unfinished: Option<String>,
}

impl History {
    fn apply(&mut self, event: &HistoryEvent) {
        match event {
            HistoryEvent::PartRecorded { commit, .. } => self.unfinished = Some(commit.clone()),
            HistoryEvent::Committed { commit, changes, .. } => {
                self.unfinished = None;
                self.first.get_or_insert_with(|| commit.hash.clone());
                self.tip = Some(commit.hash.clone());
                self.commits += 1;
                self.changes += changes;
            }
        }
    }

    fn must_be_next(&self, hash: &str, parent: Option<&str>) -> Result<(), Rejection> {
        let unfinished = self.unfinished.as_deref().unwrap_or(hash);
        if self.tip.as_deref() == parent && unfinished == hash {
            return Ok(());
        }
        let message = "a commit comes after its first parent, and after that only";
        Err(Rejection::new("follows_its_parent", message)
            .with("commit", hash)
            .with("parent", parent)
            .with("recorded", &self.tip)
            .with("unfinished", &self.unfinished))
    }
}

#[derive(Command)]
pub(crate) struct RecordPart {
    pub(crate) commit: String,
    pub(crate) parent: Option<String>,
    pub(crate) part: u64,
}

impl Decide<RecordPart> for History {
    fn decide(&self, record: &RecordPart, _: &Context) -> Decision<HistoryEvent> {
        self.must_be_next(&record.commit, record.parent.as_deref())?;
        let RecordPart { commit, part, .. } = record;
        Ok(vec![HistoryEvent::PartRecorded { commit: commit.clone(), part: *part }])
    }
}

#[derive(Command)]
pub(crate) struct RecordCommit {
    pub(crate) commit: Commit,
    pub(crate) changes: u64,
    pub(crate) churn: Churn,
}

impl Decide<RecordCommit> for History {
    fn decide(&self, record: &RecordCommit, _: &Context) -> Decision<HistoryEvent> {
        let RecordCommit { commit, changes, churn } = record;
        self.must_be_next(&commit.hash, commit.parent.as_deref())?;
        let (commit, changes, churn) = (commit.clone(), *changes, *churn);
        Ok(vec![HistoryEvent::Committed { commit, changes, churn }])
    }
}
