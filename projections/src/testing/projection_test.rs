//! A view that runs over given events, with faults.

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

use super::WorkerFaults;
use crate::{
    read::Views as _,
    worker::{Backoff, ProjectionOptions, Worker, WorkerHandle},
};

/// Runs a view over given events, with faults, and reads the resulting rows.
///
/// ```
/// # use highwater_core::{Event, Highwater, Result, domain::View};
/// use highwater_projections::testing::{ProjectionTest, WorkerFaults};
///
/// # async fn example<Balances: View, AccountEvent: Event>(
/// #     bank: &Highwater, opened: AccountEvent, closed: AccountEvent) -> Result<()> {
/// let test = ProjectionTest::<Balances>::start(bank, WorkerFaults::all(7)).await?;
/// test.given("account-alice", [opened]).await?;
/// assert!(test.row("alice").await?.is_some());
/// test.given("account-alice", [closed]).await?;
/// assert!(test.row("alice").await?.is_none());
/// test.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct ProjectionTest<V> {
    highwater: Highwater,
    worker: WorkerHandle,
    given: Mutex<Token>,
    view: PhantomData<fn() -> V>,
}

/// The maximum time that a read waits for the given events.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

impl<V: View> ProjectionTest<V> {
    /// Starts a worker of the view on this store, with three shards and small batches, so that the faults
    /// have an effect.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub async fn start(highwater: &Highwater, faults: WorkerFaults) -> Result<Self> {
        let min_delay = Duration::from_millis(1);
        let backoff = Backoff { min_delay, max_delay: 20 * min_delay, ..Backoff::default() };
        let options =
            ProjectionOptions { backoff, ..ProjectionOptions::default().shards(3).batch(7) };
        Self::start_with(highwater, faults, options).await
    }

    /// As [`start`](Self::start), with options.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub async fn start_with(
        highwater: &Highwater,
        faults: WorkerFaults,
        options: ProjectionOptions,
    ) -> Result<Self> {
        let worker = Worker::new(highwater).view_with::<V>(options).with_faults(&faults);
        let worker = worker.start().await?;
        let highwater = highwater.clone();
        Ok(Self { highwater, worker, given: Mutex::default(), view: PhantomData })
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
            let event_type = event.event_type();
            let mut payload = Vec::new();
            event.encode(&mut payload).map_err(|error| {
                let message = format!("the event {} can't be encoded: {error}", event_type.name);
                Invalid::request(message)
            })?;
            let id = ids.event_id();
            let tags = event.tags();
            stored.push(NewEvent { id, event_type, tags, payload: payload.into() });
        }
        let append = Append::new(ids.command_id(), Fingerprinter::default().finish());
        let append = append.stream(StreamId::parse(stream)?, Expected::Any, stored);
        let appended = self.highwater.log().append(append).await?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        *given = given.merge(&Token::at(appended.position));
        Ok(())
    }

    /// Waits until the view has all given events, and returns the row of a key.
    ///
    /// # Errors
    /// The error that stopped the view; [`Unavailable`](highwater_core::Error::Unavailable) if it takes
    /// longer than half a minute.
    pub async fn row(&self, key: &str) -> Result<Reading<Option<V>>> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lookup = self.highwater.view::<V>().get(key).after(given).within(READ_TIMEOUT);
        lookup.find().await
    }

    /// Ends the worker.
    ///
    /// # Errors
    /// The error that stopped the view.
    pub async fn stop(self) -> Result<()> {
        self.worker.stop().await
    }
}
