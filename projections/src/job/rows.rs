//! Rows in memory between batches.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use highwater_core::{
    Result,
    domain::{View, ViewName},
    error::{Corrupt, Invalid, Source},
    port::ViewStore,
};
use quick_cache::unsync::Cache;

use crate::runtime::ShardContext;

/// Rows of one shard as its last commit left them. Nobody else may write them while the shard is
/// owned, and what is here is dropped with the ownership, so they are never stale.
pub(crate) struct Rows<V> {
    views: Arc<dyn ViewStore>,
    view: ViewName,
    cache: Cache<String, Option<V>>,
}

/// The rows that a batch is about, each `None` while there is none, in the order of their keys.
pub(crate) struct Touched<V> {
    pub(crate) keys: Vec<String>,
    pub(crate) rows: Vec<Option<V>>,
    places: HashMap<String, usize>,
}

impl<V> Default for Touched<V> {
    fn default() -> Self {
        Self { keys: Vec::new(), rows: Vec::new(), places: HashMap::new() }
    }
}

impl<V> Touched<V> {
    /// The place of a key, which it gets if it has none.
    pub(crate) fn place(&mut self, key: String) -> usize {
        match self.places.get(&key) {
            Some(place) => *place,
            None => {
                self.places.insert(key.clone(), self.keys.len());
                self.keys.push(key);
                self.keys.len() - 1
            }
        }
    }
}

impl<V: View> Rows<V> {
    pub(crate) fn new(context: &ShardContext) -> Self {
        let (views, view) = (Arc::clone(&context.views), context.view.clone());
        Self { views, view, cache: Cache::new(context.options.cached_rows) }
    }

    /// Finds the rows: from memory, the missing ones by one query.
    pub(crate) async fn find(&self, touched: &mut Touched<V>) -> Result<()> {
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

    pub(crate) fn encoded(&self, touched: &Touched<V>) -> Result<Vec<(String, Option<Bytes>)>> {
        let encode = |(key, row): (&String, &Option<V>)| {
            let row = row.as_ref().map(|row| encode(&self.view, key, row)).transpose()?;
            Ok((key.clone(), row))
        };
        touched.keys.iter().zip(&touched.rows).map(encode).collect()
    }

    /// Keeps rows that have been committed.
    pub(crate) fn keep(&mut self, touched: Touched<V>) {
        for (key, row) in touched.keys.into_iter().zip(touched.rows) {
            self.cache.insert(key, row);
        }
    }
}

/// Decodes a stored row.
pub(crate) fn decode<V: View>(view: &ViewName, key: &str, row: &Bytes) -> Result<V> {
    serde_json::from_slice(row).map_err(|error| {
        let (view, key) = (view.to_string(), key.to_owned());
        Corrupt::Row { view, key, source: Source::new(error) }.into()
    })
}

fn encode<V: View>(view: &ViewName, key: &str, row: &V) -> Result<Bytes> {
    let bytes = serde_json::to_vec(row).map_err(|error| {
        let message = format!("the row {key:?} of view {view} can't be encoded");
        Invalid::request(message).caused_by(Source::new(error))
    })?;
    Ok(bytes.into())
}
