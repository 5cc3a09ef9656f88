//! One batch of events, folded in memory by key: each key is read once at the most and written once.

use std::collections::HashMap;

use bytes::Bytes;
use highwater_core::{
    Envelope, Result,
    error::{Corrupt, Invalid, Source},
    port::ViewName,
    read::View,
};

/// Changes to apply, by key, in the order in which the keys first appear.
pub(crate) struct Batch<V: View> {
    pub(crate) keys: Vec<String>,
    events: Vec<(usize, V::Event, usize)>,
    places: HashMap<String, usize>,
}

impl<V: View> Batch<V> {
    /// Decodes events and finds their keys.
    pub(crate) fn of(envelopes: &[Envelope]) -> Result<Self> {
        let mut batch = Self { keys: Vec::new(), events: Vec::new(), places: HashMap::new() };
        for (index, envelope) in envelopes.iter().enumerate() {
            envelope.decode_into::<V::Event>(&mut |event| batch.push(event, envelope, index))?;
        }
        Ok(batch)
    }

    fn push(&mut self, event: V::Event, envelope: &Envelope, index: usize) {
        let Some(key) = V::key(&event, envelope) else { return };
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => {
                self.places.insert(key.clone(), self.keys.len());
                self.keys.push(key);
                self.keys.len() - 1
            }
        };
        self.events.push((place, event, index));
    }

    /// Folds the events into rows that stand for `keys`, in their order.
    pub(crate) fn fold(&self, rows: &mut [V], envelopes: &[Envelope]) {
        for (place, event, index) in &self.events {
            if let (Some(row), Some(envelope)) = (rows.get_mut(*place), envelopes.get(*index)) {
                row.fold(event, envelope);
            }
        }
    }
}

/// Decodes a stored row.
pub(crate) fn decode<V: View>(view: &ViewName, key: &str, row: &Bytes) -> Result<V> {
    serde_json::from_slice(row).map_err(|error| {
        let what = format!("the row {key:?} of view {view}");
        Corrupt::value(what, Source::new(error)).into()
    })
}

/// Encodes a row.
pub(crate) fn encode<V: View>(view: &ViewName, key: &str, row: &V) -> Result<Bytes> {
    let bytes = serde_json::to_vec(row).map_err(|error| {
        let message = format!("the row {key:?} of view {view} can't be encoded");
        Invalid::request(message).caused_by(Source::new(error))
    })?;
    Ok(bytes.into())
}
