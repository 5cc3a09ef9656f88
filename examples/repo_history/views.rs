//! The read models: lines of each file, churn of each author, and the commits.

use highwater::prelude::*;

use crate::{
    file::{File, FileEvent, Lines},
    git::{Churn, Commit},
    history::HistoryEvent,
};

/// A file, by the key of its path.
#[derive(View, Debug, Default, Clone, PartialEq, Eq)]
#[view(event = FileEvent, by_stream = File)]
pub(crate) struct FileLines {
    pub(crate) exists: bool,
    pub(crate) lines: Lines,
    pub(crate) events: u64,
}

impl FileLines {
    fn fold(&mut self, event: &FileEvent, _: &Envelope) {
        self.events += 1;
        (self.exists, self.lines) = match event {
            FileEvent::Added { lines, .. }
            | FileEvent::RenamedHere { lines, .. }
            | FileEvent::Replaced { lines, .. } => (true, *lines),
            FileEvent::Edited { added, deleted, .. } => {
                (true, self.lines.map(|lines| (lines + added).saturating_sub(*deleted)))
            }
            FileEvent::RenamedAway { .. } | FileEvent::Deleted => (false, None),
        };
    }
}

/// An author, by name and address. A merge counts for its author.
#[derive(View, Debug, Default, Clone, PartialEq, Eq)]
#[view(event = HistoryEvent)]
pub(crate) struct AuthorChurn {
    pub(crate) commits: u64,
    pub(crate) churn: Churn,
}

impl AuthorChurn {
    fn key<'e>(event: &'e HistoryEvent, _: &Envelope) -> Option<&'e str> {
        event.committed().map(|commit| commit.author.as_str())
    }

    fn fold(&mut self, event: &HistoryEvent, _: &Envelope) {
        if let HistoryEvent::Committed { churn, .. } = event {
            self.commits += 1;
            self.churn = self.churn.plus(*churn);
        }
    }
}

/// A commit, by its hash.
#[derive(View, Debug, Default, Clone, PartialEq, Eq)]
#[view(event = HistoryEvent)]
pub(crate) struct Commits {
    pub(crate) position: u64,
    pub(crate) author: String,
    pub(crate) time: Option<i64>,
    pub(crate) summary: String,
    pub(crate) changes: u64,
}

impl Commits {
    fn key<'e>(event: &'e HistoryEvent, _: &Envelope) -> Option<&'e str> {
        event.committed().map(|commit| commit.hash.as_str())
    }

    fn fold(&mut self, event: &HistoryEvent, at: &EventContext<'_>) {
        if let HistoryEvent::Committed { commit, changes, .. } = event {
            let Commit { author, time, summary, .. } = commit.clone();
            let position = at.position.get();
            *self = Self { position, author, time, summary, changes: *changes };
        }
    }
}

impl HistoryEvent {
    fn committed(&self) -> Option<&Commit> {
        match self {
            Self::Committed { commit, .. } => Some(commit),
            Self::PartRecorded { .. } => None,
        }
    }
}
