//! Projections: writes to tables of the application, in the transaction of the progress (R1).

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{Event, Result, domain::TransactionHook};

use super::{Effect, ReceivedEvent, ShardChanges};

/// A read model in tables of the application. Prefer a [`View`](highwater_core::domain::View): it can be
/// batched, folded from the log for a strong read, rebuilt and verified. Write a projection for what a
/// view can't express.
pub trait Projection: Send + Sync + 'static {
    /// The events that it is built from.
    type Event: Event;
    /// Its name; views, projections, sinks and handlers share one name space.
    const NAME: &'static str;
    /// Its former names.
    const FORMERLY: &'static [&'static str] = &[];
    /// True if its work can be sharded by stream. Otherwise every event comes in log order, and one task
    /// does all the work. Events of one stream always come in order.
    const BY_STREAM: bool = false;

    /// Returns the writes for these events, as a hook for the read model's store: `PostgresHook` or
    /// `SqliteHook`. They are committed together with the progress, or not at all.
    fn writes(&self, events: Vec<ReceivedEvent<Self::Event>>) -> Arc<dyn TransactionHook>;
}

pub(crate) struct TransactionalEffect<P>(pub(crate) P);

#[async_trait]
impl<P: Projection> Effect for TransactionalEffect<P> {
    type Event = P::Event;
    const KIND: &'static str = "projection";
    const NAME: &'static str = P::NAME;
    const FORMERLY: &'static [&'static str] = P::FORMERLY;
    const BY_STREAM: bool = P::BY_STREAM;

    async fn apply(&self, events: Vec<ReceivedEvent<P::Event>>) -> Result<ShardChanges> {
        Ok(ShardChanges { hook: Some(self.0.writes(events)), ..ShardChanges::default() })
    }
}
