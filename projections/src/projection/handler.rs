//! Handlers: side effects. At least once, with a key that recognises a repeat.

use async_trait::async_trait;
use highwater_core::{Event, Result};

use super::{Effect, ReceivedEvent, ShardChanges};

/// Side effects: mails, calls of other services. At least once, those of one stream in order, and never
/// again when a read model is rebuilt.
///
/// A handler starts with the events after its first start, not with the history.
pub trait Handler: Send + Sync + 'static {
    /// The events that it reacts to.
    type Event: Event;
    /// Its name; views, projections, sinks and handlers share one name space.
    const NAME: &'static str;
    /// Its former names, the oldest first.
    const FORMERLY: &'static [&'static str] = &[];
    /// True if its work can be sharded by stream.
    const BY_STREAM: bool = false;

    /// Reacts to an event. `once` is an idempotency key: it is the same whenever the same event comes
    /// again, even after the handler was renamed. Pass it to the receiver of the side effect.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable) for a transient error: it is retried for ever.
    /// The policy decides about any other error (R4).
    fn handle(
        &self,
        event: &ReceivedEvent<Self::Event>,
        once: &str,
    ) -> impl Future<Output = Result<()>> + Send;
}

pub(crate) struct HandlerEffect<H>(pub(crate) H);

#[async_trait]
impl<H: Handler> Effect for HandlerEffect<H> {
    type Event = H::Event;
    const KIND: &'static str = "handler";
    const NAME: &'static str = H::NAME;
    const FORMERLY: &'static [&'static str] = H::FORMERLY;
    const BY_STREAM: bool = H::BY_STREAM;
    const STARTS_AT_HEAD: bool = true;
    const ONE_AT_A_TIME: bool = true;

    async fn apply(&self, events: Vec<ReceivedEvent<H::Event>>) -> Result<ShardChanges> {
        let name = H::FORMERLY.first().unwrap_or(&H::NAME);
        for (index, received) in events.iter().enumerate() {
            // A stored event may be several events today, by upcasting.
            let id = received.envelope.id;
            let earlier = events[..index].iter().rev();
            let part = earlier.take_while(|other| other.envelope.id == id).count();
            self.0.handle(received, &format!("{name}:{id}:{part}")).await?;
        }
        Ok(ShardChanges::default())
    }
}
