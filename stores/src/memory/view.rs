//! Views: their rows, and the progress that is committed with them (R1).

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use highwater_core::{
    Position, Result,
    domain::{DefinitionHash, StoredDefinition, ViewDefinition, ViewName, ViewSpec},
    error::Invalid,
    port::{StoredRow, StoredView, ViewCommit, ViewState, WorkerId},
    value::{Epoch, Sharding},
};
use jiff::Timestamp;
use tokio::sync::watch;

use super::{parked::ParkedEvents, shard::MemoryShard};
use crate::{
    columns::ColumnRules,
    fencing::{
        LeaseTerm, ShardState, check_forward, has_no_rows, refusal_of, view_missing, view_renamed,
    },
    rows,
};

#[derive(Default)]
pub(super) struct MemoryViews {
    open: HashMap<ViewName, MemoryView>,
}

pub(super) struct MemoryView {
    pub(super) sharding: Sharding,
    pub(super) shards: Vec<MemoryShard>,
    /// The time of the last sign of life of each worker.
    pub(super) workers: BTreeMap<WorkerId, LeaseTerm>,
    pub(super) parked: ParkedEvents,
    /// The definition by which the rows were folded.
    pub(super) definition: Option<StoredDefinition>,
    /// The names that it had.
    formerly: Vec<ViewName>,
    /// `None` for a projection with its own tables.
    pub(super) rows: Option<BTreeMap<String, Bytes>>,
    rules: ColumnRules,
    /// Notified of each change.
    pub(super) changed: watch::Sender<()>,
}

impl MemoryView {
    fn new(spec: &ViewSpec, sharding: Sharding) -> Self {
        let as_of = Timestamp::UNIX_EPOCH;
        let at = ShardState { epoch: Epoch::default(), position: spec.start_after, as_of };
        Self {
            sharding,
            shards: sharding.all().map(|_| MemoryShard::initial(at)).collect(),
            workers: BTreeMap::new(),
            parked: ParkedEvents::default(),
            definition: None,
            formerly: Vec::new(),
            rows: None,
            rules: ColumnRules::default(),
            changed: watch::Sender::new(()),
        }
    }

    pub(super) fn state(&self) -> ViewState {
        let shards = self.shards.iter().map(MemoryShard::without_cursor).collect();
        let stops = self.shards.iter().filter_map(|shard| shard.stop.clone()).collect();
        ViewState { sharding: self.sharding, shards, stops, definition: self.definition_hash() }
    }

    pub(super) fn definition_hash(&self) -> Option<DefinitionHash> {
        self.definition.as_ref().map(|stored| stored.hash)
    }

    /// Replaces the definition and fences the workers. Returns false if the definition is not `from`, or a shard is
    /// beyond `through`.
    pub(super) fn replace_definition(
        &mut self,
        from: Option<DefinitionHash>,
        to: &ViewDefinition,
        through: Position,
    ) -> bool {
        let is_beyond = |shard: &MemoryShard| shard.progress.position > through;
        if self.definition_hash() != from || self.shards.iter().any(is_beyond) {
            return false;
        }
        self.definition = Some(to.clone().into());
        self.shards.iter_mut().for_each(MemoryShard::fence);
        self.changed.send_replace(());
        true
    }

    fn add_columns(&mut self, spec: &ViewSpec) -> Result<()> {
        for column in &spec.columns {
            if let Some(kind) = self.rules.kind(column.name).filter(|kind| *kind != column.kind) {
                return Err(rows::column_mismatch(spec, column, &format!("{kind:?}")).into());
            }
        }
        let mut rules = self.rules.clone();
        let added = rules.add(spec);
        for (key, row) in self.rows.iter().flatten() {
            added.check(&spec.name, key, rows::row_text(&spec.name, key, row)?)?;
        }
        self.rules = rules;
        Ok(())
    }

    pub(super) fn row(&self, key: &str) -> StoredRow {
        let value = self.rows.as_ref().and_then(|rows| rows.get(key)).cloned();
        StoredRow { value, parked_since: self.parked.since(key) }
    }

    fn commit(&mut self, commit: ViewCommit, now: Timestamp) -> Result<()> {
        let shard = self.shards.get_mut(commit.shard.get() as usize);
        let Some(shard) = shard.filter(|shard| shard.may_commit(&commit)) else {
            return Err(refusal_of(&commit, &self.held()));
        };
        let parked = self.parked.after(&commit, now)?;
        if let Some(rows) = &mut self.rows {
            write(rows, commit.rows);
        } else if !commit.rows.is_empty() {
            return Err(has_no_rows(&commit.view).into());
        }
        self.parked = parked;
        shard.progress = commit.to;
        shard.stop = None;
        self.changed.send_replace(());
        Ok(())
    }

    /// Requests a retry of a parked key. Returns false if it isn't parked.
    pub(super) fn retry(&mut self, key: &str) -> bool {
        self.changed.send_replace(());
        self.parked.retry(key)
    }
}

fn write(rows: &mut BTreeMap<String, Bytes>, changes: Vec<(String, Option<Bytes>)>) {
    for (key, row) in changes {
        match row {
            Some(row) => rows.insert(key, row),
            None => rows.remove(&key),
        };
    }
}

impl MemoryViews {
    pub(super) fn get(&self, name: &ViewName) -> Result<&MemoryView> {
        self.open.get(name).ok_or_else(|| view_missing(name))
    }

    pub(super) fn get_mut(&mut self, name: &ViewName) -> Result<&mut MemoryView> {
        self.open.get_mut(name).ok_or_else(|| view_missing(name))
    }

    /// Reads a view. Returns the default if it has never been opened.
    pub(super) fn find<T: Default>(&self, name: &ViewName, of: impl FnOnce(&MemoryView) -> T) -> T {
        self.open.get(name).map(of).unwrap_or_default()
    }

    /// Changes a view. Returns the default if it has never been opened.
    pub(super) fn find_mut<T: Default>(
        &mut self,
        name: &ViewName,
        to: impl FnOnce(&mut MemoryView) -> T,
    ) -> T {
        self.open.get_mut(name).map(to).unwrap_or_default()
    }

    pub(super) fn open(&mut self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState> {
        spec.validate()?;
        if !self.open.contains_key(&spec.name) {
            let former = spec.formerly.iter().find_map(|name| self.rename(name));
            let view = match former {
                Some(view) => view,
                None => {
                    self.check_name(&spec.name)?;
                    MemoryView::new(spec, sharding)
                }
            };
            self.open.insert(spec.name.clone(), view);
        }
        let view = self.get_mut(&spec.name)?;
        if view.definition.is_none() {
            view.definition = spec.definition.clone().map(StoredDefinition::from);
        }
        view.add_columns(spec)?;
        if spec.rows {
            view.rows.get_or_insert_default();
        }
        Ok(view.state())
    }

    /// Refuses a name that a view had before it was renamed.
    fn check_name(&self, name: &ViewName) -> Result<()> {
        let new = self.open.iter().find(|(_, view)| view.formerly.contains(name));
        new.map_or(Ok(()), |(new, _)| Err(view_renamed(name, new.as_str())))
    }

    /// Removes a view, to be inserted under its new name.
    fn rename(&mut self, old: &ViewName) -> Option<MemoryView> {
        let mut view = self.open.remove(old)?;
        view.formerly.push(old.clone());
        Some(view)
    }

    pub(super) fn read(&self, name: &ViewName, keys: &[String]) -> Result<StoredView> {
        let view = self.get(name)?;
        if view.rows.is_none() && !keys.is_empty() {
            return Err(has_no_rows(name).into());
        }
        let rows = keys.iter().map(|key| view.row(key)).collect();
        Ok(StoredView { rows, state: view.state(), head: None })
    }

    pub(super) fn commit(&mut self, commit: ViewCommit, now: Timestamp) -> Result<()> {
        if commit.hook.is_some() {
            let message = "the memory store has no transactions for hooks";
            return Err(Invalid::request(message).into());
        }
        check_forward(&commit)?;
        rows::check_keys(&commit)?;
        rows::check_json(&commit)?;
        let view = self.get_mut(&commit.view)?;
        rows::check_columns(&commit, &view.rules)?;
        view.commit(commit, now)
    }
}
