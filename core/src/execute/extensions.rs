//! Values that other crates keep with an open store: one of each type, as long as a handle exists.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Values by their types.
#[derive(Default)]
pub(super) struct Extensions {
    values: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Extensions {
    /// Returns the value of this type, and creates it first if there is none.
    pub(super) fn get_or_default<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let existing = values.get(&TypeId::of::<T>()).cloned();
        existing.and_then(|value| value.downcast().ok()).unwrap_or_else(|| {
            let value = Arc::new(T::default());
            values.insert(TypeId::of::<T>(), Arc::clone(&value) as _);
            value
        })
    }
}
