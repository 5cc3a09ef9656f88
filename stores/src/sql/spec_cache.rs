//! The views that this process has opened, so that it need not inspect their tables again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use highwater_core::domain::{ViewName, ViewSpec};

use crate::columns::ColumnRules;

#[derive(Default)]
pub(crate) struct SpecCache {
    views: Mutex<HashMap<ViewName, OpenedView>>,
}

struct OpenedView {
    spec: ViewSpec,
    /// The columns and indexes of all specs with which it was opened.
    rules: Arc<ColumnRules>,
}

impl SpecCache {
    /// Returns true if the view has been opened with exactly this spec.
    pub(crate) fn contains(&self, spec: &ViewSpec) -> bool {
        self.views().get(&spec.stored_name()).is_some_and(|view| view.spec == *spec)
    }

    /// Returns the rules for the rows of a view.
    pub(crate) fn rules(&self, view: &ViewName) -> Arc<ColumnRules> {
        self.views().get(view).map(|view| Arc::clone(&view.rules)).unwrap_or_default()
    }

    pub(crate) fn insert(&self, spec: &ViewSpec) {
        let mut views = self.views();
        let name = spec.stored_name();
        let opened = views.remove(&name);
        let mut rules = opened.map(|view| (*view.rules).clone()).unwrap_or_default();
        rules.add(spec);
        let view = OpenedView { spec: spec.clone(), rules: Arc::new(rules) };
        views.insert(name, view);
    }

    fn views(&self) -> MutexGuard<'_, HashMap<ViewName, OpenedView>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
