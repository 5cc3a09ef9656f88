//! Views: their rows, and the progress that is committed with them (R1).

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use highwater_core::{
    Position, Result,
    domain::{
        DefinitionHash, GenerationSpec, StoredDefinition, ViewDefinition, ViewName, ViewSpec,
    },
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
        LeaseTerm, ShardState, check_forward, has_no_rows, other_generation, refusal_of,
        view_missing, view_renamed,
    },
    rows,
};

#[derive(Default)]
pub(super) struct MemoryViews {
    open: HashMap<ViewName, MemoryView>,
    /// The greatest number of a generation of each view that was removed.
    pub(super) removed: HashMap<ViewName, u32>,
}

pub(super) struct MemoryView {
    pub(super) sharding: Sharding,
    pub(super) shards: Vec<MemoryShard>,
    /// The time of the last sign of life of each worker.
    pub(super) workers: BTreeMap<WorkerId, LeaseTerm>,
    pub(super) parked: ParkedEvents,
    /// The definition by which the rows were folded.
    pub(super) definition: Option<StoredDefinition>,
    /// The view of which it is a generation.
    pub(super) generation_of: ViewName,
    pub(super) generation: GenerationSpec,
    pub(super) is_live: bool,
    pub(super) was_promoted: bool,
    pub(super) created_at: Timestamp,
    /// The definitions that it had.
    pub(super) former: Vec<DefinitionHash>,
    /// The names that the view had.
    formerly: Vec<ViewName>,
    /// `None` for a projection with its own tables.
    pub(super) rows: Option<BTreeMap<String, Bytes>>,
    rules: ColumnRules,
    /// Notified of each change.
    pub(super) changed: watch::Sender<()>,
}

impl MemoryView {
    fn new(spec: &ViewSpec, sharding: Sharding, now: Timestamp) -> Self {
        let as_of = Timestamp::UNIX_EPOCH;
        let at = ShardState { epoch: Epoch::default(), position: spec.start_after, as_of };
        Self {
            sharding,
            shards: sharding.all().map(|_| MemoryShard::initial(at)).collect(),
            workers: BTreeMap::new(),
            parked: ParkedEvents::default(),
            definition: None,
            generation_of: spec.name.clone(),
            generation: spec.generation,
            is_live: spec.generation.number == 1,
            was_promoted: false,
            created_at: now,
            former: Vec::new(),
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
        self.former.extend(from);
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

    /// Returns the generations of all views, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &MemoryView> {
        self.open.values()
    }

    /// Returns the generations of a view, in no order.
    pub(super) fn of_view<'a>(
        &'a self,
        name: &'a ViewName,
    ) -> impl Iterator<Item = (&'a ViewName, &'a MemoryView)> {
        self.open.iter().filter(move |(_, view)| view.generation_of == *name)
    }

    pub(super) fn of_view_mut<'a>(
        &'a mut self,
        name: &'a ViewName,
    ) -> impl Iterator<Item = (&'a ViewName, &'a mut MemoryView)> {
        self.open.iter_mut().filter(move |(_, view)| view.generation_of == *name)
    }

    pub(super) fn open(
        &mut self,
        spec: &ViewSpec,
        sharding: Sharding,
        now: Timestamp,
    ) -> Result<ViewState> {
        spec.validate()?;
        spec.formerly.iter().for_each(|old| self.rename(old, &spec.name));
        let name = spec.stored_name();
        if !self.open.contains_key(&name) {
            self.check_name(&spec.name)?;
            if self.removed_through(&spec.name) >= spec.generation.number {
                return Err(other_generation(&name));
            }
            let siblings = self.of_view(&spec.name).next();
            let formerly = siblings.map(|(_, one)| one.formerly.clone()).unwrap_or_default();
            let view = MemoryView { formerly, ..MemoryView::new(spec, sharding, now) };
            self.open.insert(name.clone(), view);
        }
        let view = self.get_mut(&name)?;
        match (&view.definition, &spec.definition) {
            (None, _) => view.definition = spec.definition.clone().map(StoredDefinition::from),
            (Some(stored), Some(own))
                if spec.generation.number > 1 && stored.hash != own.hash() =>
            {
                return Err(other_generation(&name));
            }
            _ => {}
        }
        view.add_columns(spec)?;
        if spec.rows {
            view.rows.get_or_insert_default();
        }
        Ok(view.state())
    }

    /// Refuses a name that a view had before it was renamed.
    fn check_name(&self, name: &ViewName) -> Result<()> {
        let renamed = |view: &&MemoryView| view.formerly.contains(name);
        match self.open.values().find(renamed) {
            Some(new) if self.of_view(name).next().is_none() => {
                Err(view_renamed(name, new.generation_of.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// Renames the generations of a view, unless there is none, or the new view exists.
    fn rename(&mut self, old: &ViewName, new: &ViewName) {
        if self.of_view(new).next().is_some() {
            return;
        }
        if let Some(removed) = self.removed.remove(old) {
            self.removed.insert(new.clone(), removed);
        }
        let names: Vec<ViewName> = self.of_view(old).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(mut view) = self.open.remove(&name) else { continue };
            view.formerly.push(old.clone());
            view.generation_of = new.clone();
            self.open.insert(new.of_generation(view.generation.number), view);
        }
    }

    pub(super) fn remove(&mut self, view: &ViewName, generation: u32) {
        self.open.remove(&view.of_generation(generation));
        let removed = self.removed.entry(view.clone()).or_default();
        *removed = generation.max(*removed);
    }

    pub(super) fn removed_through(&self, view: &ViewName) -> u32 {
        self.removed.get(view).copied().unwrap_or_default()
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
