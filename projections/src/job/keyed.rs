//! Keyed views: decode, fold by key in memory, write each row once.

use std::{
    any::Any,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use async_trait::async_trait;
use highwater_core::{
    Envelope, Position, Query, Result,
    domain::{
        EventContext, FoldError, FoldResult, KeyedBy, Keys, RowChange, View, ViewName, ViewSpec,
    },
    error::{Corrupt, Invalid, Source},
    value::ShardBy,
};

use super::{
    Apply, Changes, Job,
    rows::{Rows, Touched},
};
use crate::runtime::{Parking, ShardContext, Share};

/// A keyed view, as a worker runs it.
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

    fn division(&self, shards: u32) -> (ShardBy, u32) {
        match V::KEYED_BY {
            KeyedBy::Key => (ShardBy::Key, shards),
            KeyedBy::Stream(_) => (ShardBy::Stream, shards),
        }
    }

    fn shard(&self, context: &ShardContext) -> Box<dyn Apply> {
        Box::new(KeyedShard::<V> {
            rows: Rows::new(context),
            view: context.view.clone(),
            share: context.share,
            keys: Keys::default(),
            staged: Touched::default(),
        })
    }
}

struct KeyedShard<V> {
    view: ViewName,
    share: Share,
    rows: Rows<V>,
    keys: Keys,
    /// What was given last, until it is committed.
    staged: Touched<V>,
}

/// What a batch does: which event changes which row, in order.
struct Batch<V: View> {
    touched: Touched<V>,
    /// Decoded events, each with the place of its envelope.
    events: Vec<(V::Event, usize)>,
    /// For each change the place of its event and that of its row.
    effects: Vec<(usize, usize)>,
}

#[async_trait]
impl<V: View> Apply for KeyedShard<V> {
    async fn apply(&mut self, events: &[Envelope], parking: &mut Parking) -> Result<Changes> {
        let batch = self.batch(events, &mut |key, position| parking.holds(key, position))?;
        self.fold(batch, events).await
    }

    async fn drain(&mut self, key: &str, events: &[Envelope]) -> Result<Changes> {
        let batch = self.batch(events, &mut |other, _| other != key)?;
        self.fold(batch, events).await
    }

    fn committed(&mut self) {
        self.rows.keep(std::mem::take(&mut self.staged));
    }

    /// By stream the key is known although the event can't be decoded.
    fn keys(&self, event: &Envelope) -> Vec<String> {
        if let KeyedBy::Stream(_) = V::KEYED_BY {
            return vec![event.stream.key().to_owned()];
        }
        let mut keys = Keys::default();
        let decoded = event.decode_into::<V::Event>(&mut |fact| V::keys(&fact, event, &mut keys));
        match decoded {
            Ok(()) => keys.drain().filter(|key| self.share.owns_key(key)).collect(),
            Err(_) => Vec::new(),
        }
    }

    fn is_pure(&self) -> bool {
        true
    }
}

impl<V: View> KeyedShard<V> {
    /// Decodes events, and finds the rows that they change and that are not held back.
    fn batch(
        &mut self,
        envelopes: &[Envelope],
        holds: &mut dyn FnMut(&str, Position) -> bool,
    ) -> Result<Batch<V>> {
        let (touched, capacity) = (Touched::default(), envelopes.len());
        let (events, effects) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let mut batch = Batch { touched, events, effects };
        for (place, envelope) in envelopes.iter().enumerate() {
            match V::KEYED_BY {
                KeyedBy::Stream(category) => {
                    if !holds(envelope.stream.key(), envelope.position) {
                        self.decode(&mut batch, envelope, place, Some(category), &mut |_, _| {
                            false
                        })?;
                    }
                }
                KeyedBy::Key => self.decode(&mut batch, envelope, place, None, holds)?,
            }
        }
        Ok(batch)
    }

    fn decode(
        &mut self,
        batch: &mut Batch<V>,
        envelope: &Envelope,
        place: usize,
        by_stream_of: Option<&str>,
        holds: &mut dyn FnMut(&str, Position) -> bool,
    ) -> Result<()> {
        let (keys, share) = (&mut self.keys, self.share);
        let mut wrong = None;
        envelope.decode_into::<V::Event>(&mut |event| {
            V::keys(&event, envelope, keys);
            let number = batch.events.len();
            for key in keys.drain() {
                if by_stream_of.is_some_and(|category| !is_of_stream(&key, envelope, category)) {
                    wrong = Some(key);
                } else if share.owns_key(&key) && !holds(&key, envelope.position) {
                    let row = batch.touched.place(key);
                    batch.effects.push((number, row));
                }
            }
            batch.events.push((event, place));
        })?;
        wrong.map_or(Ok(()), |key| Err(self.not_by_stream(&key, envelope).into()))
    }

    fn not_by_stream(&self, key: &str, envelope: &Envelope) -> Invalid {
        Invalid::request(format!(
            "view {} is declared {}, but event {} of stream {} gives the key {key:?}: leave \
             `by_stream` out, and the work is divided by key",
            self.view,
            V::KEYED_BY,
            envelope.position,
            envelope.stream
        ))
    }

    async fn fold(&mut self, mut batch: Batch<V>, envelopes: &[Envelope]) -> Result<Changes> {
        let touched = &mut batch.touched;
        self.rows.find(touched).await?;
        for (event, row) in &batch.effects {
            let Some((event, place)) = batch.events.get(*event) else { continue };
            let (Some(envelope), Some(key)) = (envelopes.get(*place), touched.keys.get(*row))
            else {
                continue;
            };
            let Some(row) = touched.rows.get_mut(*row) else { continue };
            fold_one(row, event, &EventContext { key, envelope })
                .map_err(|error| self.not_applied(key, envelope.position, error))?;
        }
        let rows = self.rows.encoded(touched)?;
        self.staged = batch.touched;
        Ok(Changes { applied: true, rows, attachment: None })
    }

    fn not_applied(&self, key: &str, position: Position, error: FoldError) -> Corrupt {
        let (view, key, source) = (self.view.to_string(), key.to_owned(), Source::new(error));
        Corrupt::NotApplied { view, key, position, source }
    }
}

fn is_of_stream(key: &str, envelope: &Envelope, category: &str) -> bool {
    envelope.stream.key() == key && envelope.stream.category() == category
}

/// A fold that panics is one that fails: the worker serves other keys and other views.
pub(crate) fn fold_one<V: View>(
    row: &mut Option<V>,
    event: &V::Event,
    at: &EventContext<'_>,
) -> Result<(), FoldError> {
    let fold = AssertUnwindSafe(|| row.get_or_insert_default().fold(event, at));
    let folded: FoldResult = catch_unwind(fold).unwrap_or_else(|panic| Err(panicked(&*panic)));
    if folded? == RowChange::Delete {
        *row = None;
    }
    Ok(())
}

fn panicked(panic: &(dyn Any + Send)) -> FoldError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    FoldError::new(format!("the fold panicked: {}", text.unwrap_or("without a message")))
}
