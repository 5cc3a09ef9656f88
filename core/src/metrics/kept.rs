//! Handles of metrics, by the values of their labels.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{PoisonError, RwLock},
};

/// Handles by the values of their labels, made when they are first needed. The values must be names in
/// the program's text, so that there are few.
#[derive(Debug)]
pub struct HandleCache<K, H>(RwLock<HashMap<K, H>>);

impl<K, H> Default for HandleCache<K, H> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Hash + Eq, H> HandleCache<K, H> {
    /// Does something with the handle of these values.
    pub fn with(&self, key: K, make: impl FnOnce() -> H, then: impl FnOnce(&H)) {
        if let Some(kept) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return then(kept);
        }
        let mut handles = self.0.write().unwrap_or_else(PoisonError::into_inner);
        then(handles.entry(key).or_insert_with(make));
    }
}
