//! Keyed views: decode, fold by key in memory, write each row once.

use std::{collections::HashSet, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use highwater_core::{
    Envelope, Error, Position, Query, Result,
    domain::{EventContext, KeyedBy, Keys, View, ViewName, ViewSpec},
    error::Source,
    port::{EventStore, check_key, parked_as},
    value::ShardBy,
};

use super::{
    Apply, ApplyError, FoldAfresh, Job, ShardChanges, ShardContext, ShardParking, ShardScope,
    TypedFreshRows,
    apply_error::not_applied,
    fold::{decode_with_keys, fold_one, not_by_stream},
    log_fold::LogFold,
    rows::{RowCache, TouchedRows},
};

/// The number of folds after which other tasks get their turn: those that keep the leases among them.
const FOLDS_PER_TURN: usize = 1_024;

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

    fn fresh_rows(&self) -> Option<FoldAfresh> {
        Some(TypedFreshRows::<V>::create)
    }

    fn shard(&self, context: &ShardContext) -> Box<dyn Apply> {
        Box::new(KeyedShard::<V> {
            rows: RowCache::new(context),
            view: context.view.clone(),
            scope: context.scope,
            keys: Keys::default(),
            staged: TouchedRows::default(),
            log: Arc::clone(&context.log),
            refolded: None,
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
    log: Arc<dyn EventStore>,
    /// The last row that was folded again from the log, with its key, until the next commit.
    refolded: Option<(String, Option<V>)>,
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
        let mut batch = self.decode(events, holds)?;
        self.rows.load(&mut batch.touched).await?;
        self.fold(batch, events).await
    }

    /// A row that is gone was removed by an operator, because it could not be decoded, or never existed: it is folded
    /// again from the key's events before these.
    async fn drain(&mut self, key: &str, events: &[Envelope]) -> Result<ShardChanges, ApplyError> {
        let mut batch = self.decode(events, &mut |other, _| parked_as(other) != key)?;
        let is_known = self.rows.contains(key);
        self.rows.load(&mut batch.touched).await?;
        if let (false, Some(first), [row @ None]) =
            (is_known, events.first(), &mut *batch.touched.rows)
        {
            *row = self.refold(key, first.position).await?;
        }
        self.fold(batch, events).await
    }

    fn on_committed(&mut self) {
        self.refolded = None;
        self.rows.insert(std::mem::take(&mut self.staged));
    }

    fn forget(&mut self, keys: &[(String, Option<Bytes>)]) {
        self.refolded = None;
        keys.iter().for_each(|(key, _)| self.rows.forget(key));
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

    /// Folds the row of a key again from its events before a position.
    async fn refold(&mut self, key: &str, before: Position) -> Result<Option<V>> {
        if let Some((_, row)) = self.refolded.as_ref().filter(|(other, _)| other == key) {
            return Ok(row.clone());
        }
        let through = Position::new(before.get().saturating_sub(1));
        let row = LogFold::<V>::new(&self.log, &self.view)?.row_of(key, through).await?;
        if row.is_some() {
            tracing::info!(view = %self.view, key, %before, "the row was gone, and was folded again from the log");
        }
        self.refolded = Some((key.to_owned(), row.clone()));
        Ok(row)
    }

    async fn fold(
        &mut self,
        mut batch: KeyedBatch<V>,
        envelopes: &[Envelope],
    ) -> Result<ShardChanges, ApplyError> {
        let touched = &mut batch.touched;
        let mut failures = Failures::new(envelopes.len());
        for (number, (event, row)) in batch.effects.iter().enumerate() {
            if number % FOLDS_PER_TURN == FOLDS_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
            let Some((event, index)) = batch.events.get(*event) else { continue };
            let Some(envelope) = envelopes.get(*index) else { continue };
            let Some(key) = touched.keys.get(*row) else { continue };
            let Some(row) = touched.rows.get_mut(*row) else { continue };
            if !failures.contains(key) {
                let folded = fold_one(&self.view, row, event, &EventContext { key, envelope });
                folded.or_else(|error| failures.add(key, error))?;
            }
        }
        failures.none()?;
        let rows = self.rows.encode(touched)?;
        self.staged = batch.touched;
        Ok(ShardChanges { notify: true, rows, hook: None })
    }
}

/// The keys whose fold has failed. Of an event that is applied alone all are found in one go: the policy decides about
/// each, and an event may touch many.
struct Failures {
    is_single_event: bool,
    keys: HashSet<String>,
    first: Option<ApplyError>,
}

impl Failures {
    fn new(events: usize) -> Self {
        Self { is_single_event: events == 1, keys: HashSet::new(), first: None }
    }

    fn contains(&self, key: &str) -> bool {
        !self.keys.is_empty() && self.keys.contains(key)
    }

    /// Notes a failure, or returns it if the batch will be halved anyway.
    fn add(&mut self, key: &str, error: Error) -> Result<(), ApplyError> {
        if !self.is_single_event {
            return Err(ApplyError::of_key(key, error));
        }
        self.keys.insert(key.to_owned());
        match &mut self.first {
            Some(first) => first.others.push((key.to_owned(), error)),
            None => self.first = Some(ApplyError::of_key(key, error)),
        }
        Ok(())
    }

    fn none(self) -> Result<(), ApplyError> {
        self.first.map_or(Ok(()), Err)
    }
}

fn is_of_stream(key: &str, envelope: &Envelope, category: &str) -> bool {
    envelope.stream.key() == key && envelope.stream.category() == category
}
