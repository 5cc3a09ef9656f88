//! A cache of metric handles, by the values of their labels.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{PoisonError, RwLock},
};

/// Metric handles by the values of their labels, created on first use. The values must be names in
/// the program's text, so that their number is bounded.
#[derive(Debug)]
pub struct HandleCache<K, H>(RwLock<HashMap<K, H>>);

impl<K, H> Default for HandleCache<K, H> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Hash + Eq, H> HandleCache<K, H> {
    /// Calls `then` with the handle of these values. `make` creates it if there is none yet.
    pub fn with(&self, key: K, make: impl FnOnce() -> H, then: impl FnOnce(&H)) {
        if let Some(handle) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return then(handle);
        }
        let mut handles = self.0.write().unwrap_or_else(PoisonError::into_inner);
        then(handles.entry(key).or_insert_with(make));
    }
}
