//! Sinks: stores that can't share the transaction of the progress. At least once, with what is needed to
//! recognise a repeat.

use async_trait::async_trait;
use highwater_core::{Event, Result};

use super::{Effect, ReceivedEvent, ShardChanges};

/// A read model in a store that can't share the transaction of its progress: a search engine, a cache.
///
/// It receives each event at least once, those of one stream in order. After a crash it receives some
/// again: each has its position, and a sink that stores the last position by key can recognise a repeat.
pub trait Sink: Send + Sync + 'static {
    /// The events that it takes.
    type Event: Event;
    /// Its name; views, projections, sinks and handlers share one name space.
    const NAME: &'static str;
    /// Its former names, the oldest first.
    const FORMERLY: &'static [&'static str] = &[];
    /// True if its work can be sharded by stream.
    const BY_STREAM: bool = false;

    /// Stores the effect of the events. The progress advances afterwards.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable) for a transient error: it is retried for ever.
    /// The policy decides about any other error (R4).
    fn put(&self, events: &[ReceivedEvent<Self::Event>])
    -> impl Future<Output = Result<()>> + Send;
}

pub(crate) struct SinkEffect<S>(pub(crate) S);

#[async_trait]
impl<S: Sink> Effect for SinkEffect<S> {
    type Event = S::Event;
    const KIND: &'static str = "sink";
    const NAME: &'static str = S::NAME;
    const FORMERLY: &'static [&'static str] = S::FORMERLY;
    const BY_STREAM: bool = S::BY_STREAM;

    async fn apply(&self, events: Vec<ReceivedEvent<S::Event>>) -> Result<ShardChanges> {
        self.0.put(&events).await.map(|()| ShardChanges::default())
    }
}
