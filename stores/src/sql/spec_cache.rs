//! The views that this process has opened, so that it need not inspect their tables again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use highwater_core::domain::{ViewName, ViewSpec};

#[derive(Default)]
pub(crate) struct SpecCache {
    specs: Mutex<HashMap<ViewName, ViewSpec>>,
}

impl SpecCache {
    /// Returns true if the view has been opened with exactly this spec.
    pub(crate) fn contains(&self, spec: &ViewSpec) -> bool {
        self.specs().get(&spec.name) == Some(spec)
    }

    pub(crate) fn insert(&self, spec: &ViewSpec) {
        self.specs().insert(spec.name.clone(), spec.clone());
    }

    fn specs(&self) -> MutexGuard<'_, HashMap<ViewName, ViewSpec>> {
        self.specs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
