//! Stores that can't share the transaction, and side effects: at least once, with what is needed to
//! tell a repeat.

use async_trait::async_trait;
use highwater_core::{Event, Result};

use super::{Changes, Effect, ReceivedEvent};

/// A read model in a store that can't share the transaction of its progress: a search engine, a cache.
///
/// It gets each event at least once, those of one stream in order. After a crash it gets some again:
/// each has its position, and whoever stores the last one by key can tell a repeat.
pub trait Sink: Send + Sync + 'static {
    /// The events that it takes.
    type Event: Event;
    /// Its name, as a view's.
    const NAME: &'static str;
    /// Names that it had before, the oldest first.
    const FORMERLY: &'static [&'static str] = &[];
    /// Whether its work can be divided by stream.
    const BY_STREAM: bool = false;

    /// Stores what the events call for. The progress moves when it has.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable) for what may pass: it is tried for ever.
    /// Anything else is a matter of the policy (R4).
    fn put(&self, events: &[ReceivedEvent<Self::Event>])
    -> impl Future<Output = Result<()>> + Send;
}

/// Side effects: mails, calls of other services. At least once, those of one stream in order, and never
/// again when a read model is rebuilt.
///
/// It begins with what happens after it was first started, not with the history.
pub trait Handler: Send + Sync + 'static {
    /// The events that it reacts to.
    type Event: Event;
    /// Its name, as a view's.
    const NAME: &'static str;
    /// Names that it had before, the oldest first.
    const FORMERLY: &'static [&'static str] = &[];
    /// Whether its work can be divided by stream.
    const BY_STREAM: bool = false;

    /// Reacts to an event. `once` is the same whenever the same event comes again, under a new name
    /// too: give it to whoever can tell a repeat by it.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable) for what may pass: it is tried for ever.
    /// Anything else is a matter of the policy (R4).
    fn handle(
        &self,
        event: &ReceivedEvent<Self::Event>,
        once: &str,
    ) -> impl Future<Output = Result<()>> + Send;
}

pub(crate) struct Puts<S>(pub(crate) S);

#[async_trait]
impl<S: Sink> Effect for Puts<S> {
    type Event = S::Event;
    const NAME: &'static str = S::NAME;
    const FORMERLY: &'static [&'static str] = S::FORMERLY;
    const BY_STREAM: bool = S::BY_STREAM;

    async fn effect(&self, events: Vec<ReceivedEvent<S::Event>>) -> Result<Changes> {
        self.0.put(&events).await.map(|()| Changes::default())
    }
}

pub(crate) struct Handles<H>(pub(crate) H);

#[async_trait]
impl<H: Handler> Effect for Handles<H> {
    type Event = H::Event;
    const NAME: &'static str = H::NAME;
    const FORMERLY: &'static [&'static str] = H::FORMERLY;
    const BY_STREAM: bool = H::BY_STREAM;
    const BEGINS_AT_THE_HEAD: bool = true;
    const ONE_AT_A_TIME: bool = true;

    async fn effect(&self, events: Vec<ReceivedEvent<H::Event>>) -> Result<Changes> {
        for (place, received) in events.iter().enumerate() {
            // One event may mean several things today, by upcasting.
            let earlier = events[..place].iter().rev();
            let part =
                earlier.take_while(|other| other.envelope.id == received.envelope.id).count();
            let name = H::FORMERLY.first().unwrap_or(&H::NAME);
            let once = format!("{name}:{}:{part}", received.envelope.id);
            self.0.handle(received, &once).await?;
        }
        Ok(Changes::default())
    }
}
