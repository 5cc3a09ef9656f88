//! Given these events, until the view is like that.

use std::{
    marker::PhantomData,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use highwater_core::{
    Event, Highwater, Result, StreamId, Token,
    consistency::Reading,
    domain::{Fingerprinter, View},
    error::Invalid,
    port::{Append, NewEvent},
    value::Expected,
};

use super::Faults;
use crate::{Backoff, ProjectionOptions, Views as _, Worker, WorkerHandle};

/// Runs a view over given events, with faults, until it is as it should be.
///
/// ```
/// # use highwater_core::{Event, Highwater, Result, read::View};
/// use highwater_projections::testing::{Faults, Rehearsal};
///
/// # async fn example<Balances: View, AccountEvent: Event>(
/// #     bank: &Highwater, opened: AccountEvent, closed: AccountEvent) -> Result<()> {
/// let rehearsal = Rehearsal::<Balances>::start(bank, Faults::all(7)).await?;
/// rehearsal.given("account-alice", [opened]).await?;
/// assert!(rehearsal.row("alice").await?.is_some());
/// rehearsal.given("account-alice", [closed]).await?;
/// assert!(rehearsal.row("alice").await?.is_none());
/// rehearsal.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct Rehearsal<V> {
    highwater: Highwater,
    worker: WorkerHandle,
    given: Mutex<Token>,
    view: PhantomData<fn() -> V>,
}

/// How long the view may take to see what was given.
const PATIENCE: Duration = Duration::from_secs(30);

impl<V: View> Rehearsal<V> {
    /// Starts a worker of the view on this store, divided into three shards and in small batches, so
    /// that the faults have something to meet.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub async fn start(highwater: &Highwater, faults: Faults) -> Result<Self> {
        let (least, longest) = (Duration::from_millis(1), Duration::from_millis(20));
        let backoff = Backoff { least, longest, ..Backoff::default() };
        let options =
            ProjectionOptions { backoff, ..ProjectionOptions::default().shards(3).batch(7) };
        Self::start_with(highwater, faults, options).await
    }

    /// The same, run like this.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub async fn start_with(
        highwater: &Highwater,
        faults: Faults,
        options: ProjectionOptions,
    ) -> Result<Self> {
        let worker = Worker::new(highwater).view_with::<V>(options).with_faults(&faults);
        let (highwater, worker) = (highwater.clone(), worker.start().await?);
        let (given, view) = (Mutex::default(), PhantomData);
        Ok(Self { highwater, worker, given, view })
    }

    /// Appends events to a stream.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the stream's name is malformed; as
    /// [`EventStore::append`](highwater_core::port::EventStore::append).
    pub async fn given<E: Event>(
        &self,
        stream: &str,
        events: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let ids = self.highwater.ids();
        let mut stored = Vec::new();
        for event in events {
            let (event_type, tags, mut payload) = (event.event_type(), event.tags(), Vec::new());
            event.encode(&mut payload).map_err(|error| {
                let message = format!("the event {} can't be encoded: {error}", event_type.name);
                Invalid::request(message)
            })?;
            let payload = payload.into();
            stored.push(NewEvent { id: ids.event_id(), event_type, tags, payload });
        }
        let append = Append::new(ids.command_id(), Fingerprinter::default().finish());
        let append = append.stream(StreamId::parse(stream)?, Expected::Any, stored);
        let appended = self.highwater.log().append(append).await?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        *given = given.merge(&Token::at(appended.position));
        Ok(())
    }

    /// The row of a key, once the view has seen all that was given.
    ///
    /// # Errors
    /// What made the view stop, if anything did; [`Unavailable`](highwater_core::Error::Unavailable)
    /// if it takes longer than half a minute.
    pub async fn row(&self, key: &str) -> Result<Reading<Option<V>>> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lookup = self.highwater.view::<V>().get(key).after(given).within(PATIENCE);
        lookup.find().await
    }

    /// Ends the worker.
    ///
    /// # Errors
    /// What made the view stop, if anything did.
    pub async fn stop(self) -> Result<()> {
        self.worker.stop().await
    }
}
