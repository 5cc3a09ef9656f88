//! Views: their rows, and what is committed with them (R1).

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use highwater_core::{
    Result,
    domain::{ColumnKind, ViewName, ViewSpec},
    error::Invalid,
    port::{StoredRow, StoredView, ViewCommit, ViewState, WorkerId},
    value::{Epoch, Sharding},
};
use jiff::Timestamp;
use tokio::sync::watch;

use super::{parked::Parked, shard::Shard};
use crate::{
    claims::{Held, goes_on, missing, refusal, without_rows},
    rows,
};

#[derive(Default)]
pub(super) struct Views {
    open: HashMap<ViewName, View>,
}

pub(super) struct View {
    pub(super) sharding: Sharding,
    pub(super) shards: Vec<Shard>,
    /// Until when each worker is alive.
    pub(super) workers: BTreeMap<WorkerId, Timestamp>,
    pub(super) parked: Parked,
    /// None of a projection that writes its own.
    pub(super) rows: Option<BTreeMap<String, Bytes>>,
    columns: HashMap<&'static str, ColumnKind>,
    /// Told of each change.
    pub(super) changed: watch::Sender<()>,
}

impl View {
    fn new(spec: &ViewSpec, sharding: Sharding) -> Self {
        let (epoch, as_of) = (Epoch::default(), Timestamp::UNIX_EPOCH);
        let at = Held { epoch, position: spec.start_after, as_of };
        Self {
            sharding,
            shards: sharding.all().map(|_| Shard::beginning(at)).collect(),
            workers: BTreeMap::new(),
            parked: Parked::default(),
            rows: None,
            columns: HashMap::new(),
            changed: watch::Sender::new(()),
        }
    }

    pub(super) fn state(&self) -> ViewState {
        let shards = self.shards.iter().map(Shard::without_cursor).collect();
        ViewState { sharding: self.sharding, shards }
    }

    fn add_columns(&mut self, spec: &ViewSpec) -> Result<()> {
        for column in &spec.columns {
            let kind = *self.columns.entry(column.name).or_insert(column.kind);
            if kind != column.kind {
                return Err(rows::other_kind(spec, column, &format!("{kind:?}")).into());
            }
        }
        Ok(())
    }

    pub(super) fn row(&self, key: &str) -> StoredRow {
        let value = self.rows.as_ref().and_then(|rows| rows.get(key)).cloned();
        StoredRow { value, parked_since: self.parked.since(key) }
    }

    fn commit(&mut self, commit: ViewCommit, now: Timestamp) -> Result<()> {
        let shard = self.shards.get_mut(commit.shard.get() as usize);
        let Some(shard) = shard.filter(|shard| shard.may_commit(&commit)) else {
            return Err(refusal(&commit, &self.held()));
        };
        let parked = self.parked.after(&commit, now)?;
        if let Some(rows) = &mut self.rows {
            write(rows, commit.rows);
        } else if !commit.rows.is_empty() {
            return Err(without_rows(&commit.view).into());
        }
        self.parked = parked;
        shard.progress = commit.to;
        self.changed.send_replace(());
        Ok(())
    }

    /// Whether the key is parked.
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

impl Views {
    pub(super) fn get(&self, name: &ViewName) -> Result<&View> {
        self.open.get(name).ok_or_else(|| missing(name))
    }

    pub(super) fn get_mut(&mut self, name: &ViewName) -> Result<&mut View> {
        self.open.get_mut(name).ok_or_else(|| missing(name))
    }

    /// Something of a view, or nothing of one that has never been opened.
    pub(super) fn known<T: Default>(&self, name: &ViewName, of: impl FnOnce(&View) -> T) -> T {
        self.open.get(name).map(of).unwrap_or_default()
    }

    /// Does something to a view, unless it has never been opened.
    pub(super) fn known_mut<T: Default>(
        &mut self,
        name: &ViewName,
        to: impl FnOnce(&mut View) -> T,
    ) -> T {
        self.open.get_mut(name).map(to).unwrap_or_default()
    }

    pub(super) fn open(&mut self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState> {
        spec.validate()?;
        if !self.open.contains_key(&spec.name) {
            let former = spec.formerly.iter().find_map(|name| self.open.remove(name));
            let view = former.unwrap_or_else(|| View::new(spec, sharding));
            self.open.insert(spec.name.clone(), view);
        }
        let view = self.get_mut(&spec.name)?;
        view.add_columns(spec)?;
        if spec.rows {
            view.rows.get_or_insert_default();
        }
        Ok(view.state())
    }

    pub(super) fn read(&self, name: &ViewName, keys: &[String]) -> Result<StoredView> {
        let view = self.get(name)?;
        if view.rows.is_none() && !keys.is_empty() {
            return Err(without_rows(name).into());
        }
        let rows = keys.iter().map(|key| view.row(key)).collect();
        Ok(StoredView { rows, state: view.state(), head: None })
    }

    pub(super) fn commit(&mut self, commit: ViewCommit, now: Timestamp) -> Result<()> {
        if commit.hook.is_some() {
            let message = "the memory store has no transaction that an attachment could join";
            return Err(Invalid::request(message).into());
        }
        goes_on(&commit)?;
        rows::check(&commit)?;
        self.get_mut(&commit.view)?.commit(commit, now)
    }
}
