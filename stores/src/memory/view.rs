//! Views: rows by key, and the checkpoint that moves with them.

use std::collections::HashMap;

use bytes::Bytes;
use highwater_core::{
    Result,
    error::{Conflict, Invalid},
    port::{Checkpoint, StoredView, ViewCommit, ViewName},
};

#[derive(Default)]
pub(super) struct Views {
    open: HashMap<ViewName, View>,
}

#[derive(Default)]
struct View {
    checkpoint: Checkpoint,
    rows: HashMap<String, Bytes>,
}

impl Views {
    pub(super) fn open(&mut self, name: &ViewName) -> Checkpoint {
        self.open.entry(name.clone()).or_default().checkpoint
    }

    pub(super) fn read(&self, name: &ViewName, keys: &[String]) -> Result<StoredView> {
        let view = self.open.get(name).ok_or_else(|| not_open(name))?;
        let rows = keys.iter().map(|key| view.rows.get(key).cloned()).collect();
        Ok(StoredView { rows, checkpoint: view.checkpoint })
    }

    pub(super) fn commit(&mut self, commit: ViewCommit) -> Result<()> {
        let view = self.open.get_mut(&commit.view).ok_or_else(|| not_open(&commit.view))?;
        if view.checkpoint.position != commit.from {
            let (expected, actual) = (commit.from, view.checkpoint.position);
            let view = commit.view.to_string();
            return Err(Conflict::Checkpoint { view, expected, actual }.into());
        }
        for (key, row) in commit.rows {
            match row {
                Some(row) => view.rows.insert(key, row),
                None => view.rows.remove(&key),
            };
        }
        view.checkpoint = commit.to;
        Ok(())
    }
}

fn not_open(name: &ViewName) -> Invalid {
    Invalid::request(format!("view {name} has not been opened"))
}
