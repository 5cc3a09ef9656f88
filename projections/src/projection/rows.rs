//! The row cache of a keyed view: rows in memory between batches.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use highwater_core::{
    Result,
    domain::{View, ViewName},
    error::{Corrupt, Invalid, Panicked, Source},
    json,
    port::ViewStore,
};
use quick_cache::unsync::Cache;

use super::{ApplyError, ShardContext};

/// The rows of one shard as of its last commit. No other writer may change them while the shard is owned,
/// and the cache is dropped with the ownership, so they are never stale.
pub(crate) struct RowCache<V> {
    views: Arc<dyn ViewStore>,
    view: ViewName,
    cache: Cache<String, Option<V>>,
}

/// The rows that a batch changes, in the order of their keys; `None` is a row that doesn't exist.
pub(crate) struct TouchedRows<V> {
    pub(crate) keys: Vec<String>,
    pub(crate) rows: Vec<Option<V>>,
    index: HashMap<String, usize>,
}

impl<V> Default for TouchedRows<V> {
    fn default() -> Self {
        Self { keys: Vec::new(), rows: Vec::new(), index: HashMap::new() }
    }
}

impl<V> TouchedRows<V> {
    /// Returns the index of a key; adds the key if it is new.
    pub(crate) fn index_of(&mut self, key: String) -> usize {
        match self.index.get(&key) {
            Some(index) => *index,
            None => {
                self.index.insert(key.clone(), self.keys.len());
                self.keys.push(key);
                self.keys.len() - 1
            }
        }
    }
}

impl<V: View> RowCache<V> {
    pub(crate) fn new(context: &ShardContext) -> Self {
        Self {
            views: Arc::clone(&context.views),
            view: context.view.clone(),
            cache: Cache::new(context.options.cached_rows),
        }
    }

    /// Returns true if the row is cached, or is known not to exist.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.cache.peek(key).is_some()
    }

    /// Loads the rows: from the cache, the missing ones by one query.
    pub(crate) async fn load(&self, touched: &mut TouchedRows<V>) -> Result<()> {
        let is_missing = |key: &&String| self.cache.get(key.as_str()).is_none();
        let missing: Vec<String> = touched.keys.iter().filter(is_missing).cloned().collect();
        let mut loaded = match missing.is_empty() {
            true => Vec::new(),
            false => self.views.read_view(&self.view, &missing).await?.rows,
        }
        .into_iter();
        touched.rows.reserve(touched.keys.len());
        for key in &touched.keys {
            touched.rows.push(match self.cache.get(key.as_str()) {
                Some(row) => row.clone(),
                None => match loaded.next().and_then(|row| row.value) {
                    Some(row) => Some(decode(&self.view, key, &row)?),
                    None => None,
                },
            });
        }
        Ok(())
    }

    /// Encodes the rows, and replaces each by what will be read of it. So the row that is cached is the one that a
    /// restarted worker loads.
    pub(crate) fn encode(
        &self,
        touched: &mut TouchedRows<V>,
    ) -> Result<Vec<(String, Option<Bytes>)>, ApplyError> {
        let encode = |(key, row): (&String, &mut Option<V>)| {
            let encoded = row.as_mut().map(|row| encode(&self.view, key, row)).transpose();
            Ok((key.clone(), encoded.map_err(|error| ApplyError::of_key(key, error))?))
        };
        touched.keys.iter().zip(&mut touched.rows).map(encode).collect()
    }

    /// Forgets a row, which is read again when it is needed.
    pub(crate) fn forget(&mut self, key: &str) {
        self.cache.remove(key);
    }

    /// Caches rows that have been committed.
    pub(crate) fn insert(&mut self, touched: TouchedRows<V>) {
        for (key, row) in touched.keys.into_iter().zip(touched.rows) {
            self.cache.insert(key, row);
        }
    }
}

/// Decodes a stored row. A row whose decoder panics can't be decoded.
pub(crate) fn decode<V: View>(view: &ViewName, key: &str, row: &Bytes) -> Result<V> {
    let place = || format!("decoding of row {key:?} of view {view}");
    let decoded = Panicked::guard(place, || json::read(row));
    let decoded = decoded.map_err(Source::new).and_then(|row| row.map_err(Source::new));
    decoded.map_err(|source| {
        Corrupt::Row { view: view.to_string(), key: key.to_owned(), source }.into()
    })
}

/// Encodes a row, and replaces it by what will be read of it.
///
/// # Errors
/// [`Invalid`] if the row can't be encoded, or not be read again; it names the field and the reason.
pub(crate) fn encode<V: View>(view: &ViewName, key: &str, row: &mut V) -> Result<Bytes> {
    let place = || format!("encoding of row {key:?} of view {view}");
    let refused = |reason: String| {
        Invalid::unstorable(format_args!("the row {key:?} of view {view}"), reason)
    };
    let encoded = Panicked::guard(place, || -> Result<Bytes, Invalid> {
        let mut json = Vec::with_capacity(128);
        json::write(&mut json, row).map_err(|error| refused(error.to_string()))?;
        *row = json::read(&json)
            .map_err(|error| refused(format!("it could not be read again: {error}")))?;
        Ok(json.into())
    })?;
    Ok(encoded?)
}
