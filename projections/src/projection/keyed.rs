//! Keyed views: decode, fold by key in memory, write each row once.

use std::marker::PhantomData;

use async_trait::async_trait;
use highwater_core::{
    Envelope, Position, Query, Result,
    domain::{EventContext, KeyedBy, Keys, RowChange, View, ViewName, ViewSpec},
    error::{Invalid, Panicked, Source},
    port::{check_key, parked_as},
    value::ShardBy,
};

use super::{
    Apply, ApplyError, Job, ShardChanges, ShardContext, ShardParking, ShardScope,
    apply_error::{not_applied, place},
    rows::{RowCache, TouchedRows},
};

/// Runs a keyed view as a job.
pub(crate) struct KeyedView<V> {
    view: PhantomData<fn() -> V>,
}

impl<V> Default for KeyedView<V> {
    fn default() -> Self {
        Self { view: PhantomData }
    }
}

impl<V: View> Job for KeyedView<V> {
    fn spec(&self) -> Result<ViewSpec> {
        V::spec()
    }

    fn query(&self) -> Result<Query> {
        V::query()
    }

    fn keyed(&self) -> KeyedBy {
        V::KEYED_BY
    }

    fn sharding(&self, shards: u32) -> (ShardBy, u32) {
        match V::KEYED_BY {
            KeyedBy::Key => (ShardBy::Key, shards),
            KeyedBy::Stream(_) => (ShardBy::Stream, shards),
        }
    }

    fn shard(&self, context: &ShardContext) -> Box<dyn Apply> {
        Box::new(KeyedShard::<V> {
            rows: RowCache::new(context),
            view: context.view.clone(),
            scope: context.scope,
            keys: Keys::default(),
            staged: TouchedRows::default(),
        })
    }
}

struct KeyedShard<V> {
    view: ViewName,
    scope: ShardScope,
    rows: RowCache<V>,
    keys: Keys,
    /// The last changes, until they are committed.
    staged: TouchedRows<V>,
}

/// A decoded batch: the rows that each event changes, in order.
struct KeyedBatch<V: View> {
    touched: TouchedRows<V>,
    /// Decoded events, each with the index of its envelope.
    events: Vec<(V::Event, usize)>,
    /// For each change the index of its event and that of its row.
    effects: Vec<(usize, usize)>,
}

#[async_trait]
impl<V: View> Apply for KeyedShard<V> {
    async fn apply(
        &mut self,
        events: &[Envelope],
        parking: &mut ShardParking,
    ) -> Result<ShardChanges, ApplyError> {
        let holds = &mut |key: &str, position| parking.holds(&parked_as(key), position);
        let batch = self.decode(events, holds)?;
        self.fold(batch, events).await
    }

    async fn drain(&mut self, key: &str, events: &[Envelope]) -> Result<ShardChanges, ApplyError> {
        let batch = self.decode(events, &mut |other, _| parked_as(other) != key)?;
        self.fold(batch, events).await
    }

    fn on_committed(&mut self) {
        self.rows.insert(std::mem::take(&mut self.staged));
    }

    /// If the view is keyed by stream, the key is known even if the event can't be decoded. A key that no
    /// store can hold is returned as it is parked.
    fn keys(&self, event: &Envelope) -> Vec<String> {
        if let KeyedBy::Stream(_) = V::KEYED_BY {
            return vec![event.stream.key().to_owned()];
        }
        let mut owned = Vec::new();
        let decoded = decode_with_keys::<V>(&mut Keys::default(), event, &mut |_, keys| {
            let keys = keys.drain().filter(|key| self.scope.owns_key(key));
            owned.extend(keys.map(|key| parked_as(&key).into_owned()));
        });
        decoded.map_or_else(|_| Vec::new(), |()| owned)
    }

    fn is_pure(&self) -> bool {
        true
    }
}

impl<V: View> KeyedShard<V> {
    /// Decodes events and finds the rows that they change and that are not held back.
    fn decode(
        &mut self,
        envelopes: &[Envelope],
        holds: &mut dyn FnMut(&str, Position) -> bool,
    ) -> Result<KeyedBatch<V>> {
        let mut batch = KeyedBatch {
            touched: TouchedRows::default(),
            events: Vec::with_capacity(envelopes.len()),
            effects: Vec::with_capacity(envelopes.len()),
        };
        for (index, envelope) in envelopes.iter().enumerate() {
            match V::KEYED_BY {
                KeyedBy::Stream(category) => {
                    if !holds(envelope.stream.key(), envelope.position) {
                        let hold_none = &mut |_: &str, _| false;
                        self.decode_one(&mut batch, envelope, index, Some(category), hold_none)?;
                    }
                }
                KeyedBy::Key => self.decode_one(&mut batch, envelope, index, None, holds)?,
            }
        }
        Ok(batch)
    }

    fn decode_one(
        &mut self,
        batch: &mut KeyedBatch<V>,
        envelope: &Envelope,
        index: usize,
        by_stream_of: Option<&str>,
        holds: &mut dyn FnMut(&str, Position) -> bool,
    ) -> Result<()> {
        let Self { keys, scope, view, .. } = self;
        let mut wrong = None;
        decode_with_keys::<V>(keys, envelope, &mut |event, keys| {
            let event_index = batch.events.len();
            for key in keys.drain() {
                if by_stream_of.is_some_and(|category| !is_of_stream(&key, envelope, category)) {
                    let of_stream = envelope.stream.key().to_owned();
                    wrong = Some((of_stream, not_by_stream::<V>(&key)));
                } else if scope.owns_key(&key) && !holds(&key, envelope.position) {
                    if let Err(unstorable) = check_key(&key) {
                        wrong = Some((key, unstorable));
                        continue;
                    }
                    let row = batch.touched.index_of(key);
                    batch.effects.push((event_index, row));
                }
            }
            batch.events.push((event, index));
        })?;
        wrong.map_or(Ok(()), |(key, why)| {
            Err(not_applied(view, &parked_as(&key), envelope, Source::new(why)).into())
        })
    }

    async fn fold(
        &mut self,
        mut batch: KeyedBatch<V>,
        envelopes: &[Envelope],
    ) -> Result<ShardChanges, ApplyError> {
        let touched = &mut batch.touched;
        self.rows.load(touched).await?;
        for (event, row) in &batch.effects {
            let Some((event, index)) = batch.events.get(*event) else { continue };
            let Some(envelope) = envelopes.get(*index) else { continue };
            let Some(key) = touched.keys.get(*row) else { continue };
            let Some(row) = touched.rows.get_mut(*row) else { continue };
            fold_one(&self.view, row, event, &EventContext { key, envelope })
                .map_err(|error| ApplyError::of_key(key, error))?;
        }
        let rows = self.rows.encode(touched)?;
        self.staged = batch.touched;
        Ok(ShardChanges { notify: true, rows, hook: None })
    }
}

fn not_by_stream<V: View>(key: &str) -> Invalid {
    Invalid::request(format!(
        "the view is declared {}, but the event gives the key {key:?}: leave `by_stream` out, and the \
         work is sharded by key",
        V::KEYED_BY
    ))
}

fn is_of_stream(key: &str, envelope: &Envelope, category: &str) -> bool {
    envelope.stream.key() == key && envelope.stream.category() == category
}

/// Decodes an event and emits what it means today, with its keys. A panic while decoding, upcasting or
/// computing keys is an error.
pub(crate) fn decode_with_keys<V: View>(
    keys: &mut Keys,
    envelope: &Envelope,
    emit: &mut dyn FnMut(V::Event, &mut Keys),
) -> Result<()> {
    let place = |code: &str| place(&format!("{code} of view {}", V::NAME), envelope);
    let mut keyed = Ok(());
    let decode = || {
        envelope.decode_into::<V::Event>(&mut |event| {
            if keyed.is_err() {
                return;
            }
            keyed = Panicked::guard(|| place("key"), || V::keys(&event, envelope, keys));
            match keyed {
                Ok(()) => emit(event, keys),
                Err(_) => *keys = Keys::default(),
            }
        })
    };
    Panicked::guard(|| place("decoding"), decode)??;
    Ok(keyed?)
}

/// Folds one event over a row. A fold that fails or panics is an error of the key: the worker applies the
/// events of other keys and of other views.
pub(crate) fn fold_one<V: View>(
    view: &ViewName,
    row: &mut Option<V>,
    event: &V::Event,
    at: &EventContext<'_>,
) -> Result<()> {
    let place = || place(&format!("fold of view {view}, key {:?},", at.key), at.envelope);
    match Panicked::guard(place, || row.get_or_insert_default().fold(event, at))? {
        Ok(RowChange::Keep) => Ok(()),
        Ok(RowChange::Delete) => {
            *row = None;
            Ok(())
        }
        Err(error) => Err(not_applied(view, at.key, at.envelope, Source::new(error)).into()),
    }
}
