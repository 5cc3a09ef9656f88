//! The common part of projections, sinks and handlers: effects that the application writes itself, in order
//! by stream.

use std::{ops::Deref, sync::Arc};

use async_trait::async_trait;
use highwater_core::{
    Envelope, Event, Query, Result,
    domain::{KeyedBy, ViewName, ViewSpec},
    error::Panicked,
    value::ShardBy,
};

use super::{
    Apply, ApplyError, Job, ShardChanges, ShardContext, ShardParking,
    apply_error::{batch_place, place},
};

/// A received event: decoded, with its envelope.
#[derive(Debug, Clone)]
pub struct ReceivedEvent<E> {
    /// The event.
    pub event: E,
    /// The envelope, as it is stored.
    pub envelope: Envelope,
}

impl<E> Deref for ReceivedEvent<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.event
    }
}

/// An effect that the application implements.
#[async_trait]
pub(crate) trait Effect: Send + Sync + 'static {
    type Event: Event;
    /// The word for it in errors.
    const KIND: &'static str;
    const NAME: &'static str;
    const FORMERLY: &'static [&'static str];
    const BY_STREAM: bool;
    const STARTS_AT_HEAD: bool = false;
    const ONE_AT_A_TIME: bool = false;

    async fn apply(&self, events: Vec<ReceivedEvent<Self::Event>>) -> Result<ShardChanges>;
}

/// Runs an effect as a job.
pub(crate) struct EffectJob<F>(Arc<F>);

impl<F> EffectJob<F> {
    pub(crate) fn new(effect: F) -> Self {
        Self(Arc::new(effect))
    }
}

impl<F: Effect> Job for EffectJob<F> {
    fn spec(&self) -> Result<ViewSpec> {
        let formerly = F::FORMERLY.iter().map(|name| ViewName::new(name)).collect::<Result<_>>()?;
        Ok(ViewSpec { formerly, ..ViewSpec::without_rows(ViewName::new(F::NAME)?) })
    }

    fn query(&self) -> Result<Query> {
        Ok(Query::all().narrowed_to::<F::Event>())
    }

    fn keyed(&self) -> KeyedBy {
        KeyedBy::Key
    }

    fn sharding(&self, shards: u32) -> (ShardBy, u32) {
        if F::BY_STREAM { (ShardBy::Stream, shards) } else { (ShardBy::Key, 1) }
    }

    fn starts_at_head(&self) -> bool {
        F::STARTS_AT_HEAD
    }

    fn batch_size(&self, requested: usize) -> usize {
        if F::ONE_AT_A_TIME { 1 } else { requested }
    }

    fn shard(&self, _: &ShardContext) -> Box<dyn Apply> {
        Box::new(EffectShard(Arc::clone(&self.0)))
    }
}

struct EffectShard<F>(Arc<F>);

#[async_trait]
impl<F: Effect> Apply for EffectShard<F> {
    async fn apply(
        &mut self,
        events: &[Envelope],
        parking: &mut ShardParking,
    ) -> Result<ShardChanges, ApplyError> {
        self.apply_unless(events, |event| parking.holds(event.stream.as_str(), event.position))
            .await
    }

    async fn drain(&mut self, _: &str, events: &[Envelope]) -> Result<ShardChanges, ApplyError> {
        self.apply_unless(events, |_| false).await
    }

    fn on_committed(&mut self) {}

    fn keys(&self, event: &Envelope) -> Vec<String> {
        vec![event.stream.as_str().to_owned()]
    }

    fn is_pure(&self) -> bool {
        false
    }
}

impl<F: Effect> EffectShard<F> {
    async fn apply_unless(
        &self,
        envelopes: &[Envelope],
        mut is_held: impl FnMut(&Envelope) -> bool,
    ) -> Result<ShardChanges, ApplyError> {
        let mut events = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            if is_held(envelope) {
                continue;
            }
            let mut emit = |event| {
                events.push(ReceivedEvent { event, envelope: envelope.clone() });
            };
            let decode = || envelope.decode_into::<F::Event>(&mut emit);
            Panicked::guard(|| place(&format!("decoding for {}", name::<F>()), envelope), decode)??;
        }
        if events.is_empty() {
            return Ok(ShardChanges::default());
        }
        let changes =
            Panicked::guard_async(|| place_of_batch::<F>(envelopes), self.0.apply(events));
        Ok(changes.await??)
    }
}

/// Returns the kind and the name of an effect.
fn name<F: Effect>() -> String {
    format!("{} {}", F::KIND, F::NAME)
}

fn place_of_batch<F: Effect>(batch: &[Envelope]) -> String {
    format!("{} {}", name::<F>(), batch_place(batch))
}
