//! The views that this process has opened, so that it need not look at their tables again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use highwater_core::domain::{ViewName, ViewSpec};

#[derive(Default)]
pub(crate) struct Opened {
    specs: Mutex<HashMap<ViewName, ViewSpec>>,
}

impl Opened {
    /// Whether the view has been opened as exactly this.
    pub(crate) fn has(&self, spec: &ViewSpec) -> bool {
        self.specs().get(&spec.name) == Some(spec)
    }

    pub(crate) fn note(&self, spec: &ViewSpec) {
        self.specs().insert(spec.name.clone(), spec.clone());
    }

    fn specs(&self) -> MutexGuard<'_, HashMap<ViewName, ViewSpec>> {
        self.specs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
