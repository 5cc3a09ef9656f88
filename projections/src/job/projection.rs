//! Projections: writes of the user's own, in the transaction of the progress (R1).

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{Event, Result, domain::TransactionHook};

use super::{Changes, Effect, ReceivedEvent};

/// A read model of the user's own tables. Prefer a [`View`](highwater_core::domain::View): it can be
/// batched, folded from the log for a strong read, rebuilt and verified. This is the way for what a
/// view can't express.
pub trait Projection: Send + Sync + 'static {
    /// The events that it is made from.
    type Event: Event;
    /// Its name, as a view's.
    const NAME: &'static str;
    /// Names that it had before.
    const FORMERLY: &'static [&'static str] = &[];
    /// Whether its work can be divided by stream. Otherwise every event comes in log order, and one
    /// task does it all. Events of one stream always come in order.
    const BY_STREAM: bool = false;

    /// The writes that these events call for, as work of the read model's store: `PostgresHook` or
    /// `SqliteHook`. They are committed together with the progress, or not at all.
    fn writes(&self, events: Vec<ReceivedEvent<Self::Event>>) -> Arc<dyn TransactionHook>;
}

pub(crate) struct Writes<P>(pub(crate) P);

#[async_trait]
impl<P: Projection> Effect for Writes<P> {
    type Event = P::Event;
    const NAME: &'static str = P::NAME;
    const FORMERLY: &'static [&'static str] = P::FORMERLY;
    const BY_STREAM: bool = P::BY_STREAM;

    async fn effect(&self, events: Vec<ReceivedEvent<P::Event>>) -> Result<Changes> {
        Ok(Changes { attachment: Some(self.0.writes(events)), ..Changes::default() })
    }
}
