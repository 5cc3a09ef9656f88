//! The state that all clones of a handle share for their reads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use highwater_core::{Highwater, domain::ViewName};

use super::batcher::ReadBatcher;
use crate::{
    metrics::{ReadMeter, Waits},
    policy::PolicyCache,
};

/// The state that all clones of a handle share for their reads: policies, metrics, and one batcher for each view.
#[derive(Default)]
pub(super) struct ReadSide {
    pub(super) policies: Arc<PolicyCache>,
    pub(super) meter: ReadMeter,
    pub(super) waits: Waits,
    batchers: Mutex<HashMap<ViewName, Arc<ReadBatcher>>>,
}

impl ReadSide {
    pub(super) fn of(highwater: &Highwater) -> Arc<Self> {
        highwater.read_side()
    }

    pub(super) fn batcher(&self, view: &ViewName) -> Arc<ReadBatcher> {
        let mut batchers = self.batchers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(batchers.entry(view.clone()).or_default())
    }
}
