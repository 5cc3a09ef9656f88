//! The state that all clones of a handle share for their reads.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use highwater_core::{
    Highwater, Result,
    domain::{DefinitionHash, View, ViewName},
};

use super::{batcher::ReadBatcher, definition::ReaderDefinition, source::ViewSource};
use crate::{
    metrics::{ReadMeter, WaitMeter},
    policy::PolicyCache,
};

/// The state that all clones of a handle share for their reads: policies, metrics, definitions, and one
/// batcher for each view.
#[derive(Default)]
pub(super) struct ReadSide {
    pub(super) policies: Arc<PolicyCache>,
    pub(super) meter: ReadMeter,
    pub(super) waits: WaitMeter,
    batchers: Mutex<HashMap<(ViewName, DefinitionHash), Arc<ReadBatcher>>>,
    definitions: Mutex<HashMap<TypeId, Arc<ReaderDefinition>>>,
}

impl ReadSide {
    pub(super) fn of(highwater: &Highwater) -> Arc<Self> {
        highwater.read_side()
    }

    /// Returns the batcher of a view. A program with two definitions of one name has two.
    pub(super) fn batcher(&self, definition: &ReaderDefinition) -> Arc<ReadBatcher> {
        let mut batchers = self.batchers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(batchers.entry(definition.id()).or_default())
    }

    /// Creates the source of a view's snapshots.
    pub(super) fn source<V: View>(&self, highwater: &Highwater) -> Result<ViewSource> {
        ViewSource::new::<V>(highwater, self.definition::<V>()?)
    }

    fn definition<V: View>(&self) -> Result<Arc<ReaderDefinition>> {
        let mut definitions = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = definitions.get(&TypeId::of::<V>()) {
            return Ok(Arc::clone(known));
        }
        let definition = Arc::new(ReaderDefinition::of::<V>()?);
        definitions.insert(TypeId::of::<V>(), Arc::clone(&definition));
        Ok(definition)
    }
}
