//! What other rooms keep with an open store: one of each type, for as long as a handle is there.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Default)]
pub(super) struct Extensions {
    kept: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Extensions {
    pub(super) fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(&TypeId::of::<T>()).cloned();
        known.and_then(|known| known.downcast().ok()).unwrap_or_else(|| {
            let made = Arc::new(T::default());
            kept.insert(TypeId::of::<T>(), Arc::clone(&made) as _);
            made
        })
    }
}
