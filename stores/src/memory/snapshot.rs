//! The latest snapshot of each stream.

use std::collections::HashMap;

use highwater_core::{StreamId, port::Snapshot};

#[derive(Default)]
pub(super) struct MemorySnapshots {
    latest: HashMap<StreamId, Snapshot>,
}

impl MemorySnapshots {
    pub(super) fn load(&self, stream: &StreamId) -> Option<Snapshot> {
        self.latest.get(stream).cloned()
    }

    pub(super) fn save(&mut self, snapshot: Snapshot) {
        let keep = self
            .latest
            .get(&snapshot.stream)
            .is_some_and(|kept| (kept.schema, kept.version) >= (snapshot.schema, snapshot.version));
        if !keep {
            self.latest.insert(snapshot.stream.clone(), snapshot);
        }
    }
}
