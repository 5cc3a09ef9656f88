//! A store decorator that injects faults.

mod view;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use highwater_core::{
    CommandId, Error, LogId, Position, Query, ReadFrom, Result, StreamId, Version,
    error::{Source, Unavailable},
    port::{
        AddedTags, Append, AppendFuture, Clock as _, EventStore, LogPage, LogTransfer,
        RecordedCommand, Snapshot, SnapshotStore, StreamPage, Untagged,
    },
};

use crate::system::SystemClock;

/// The rates of the faults, each as a share of the calls from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    seed: u64,
    unavailable: f64,
    unsent: f64,
    lost: f64,
    delayed: f64,
    delay: Duration,
}

impl Faults {
    /// No faults: every call goes to the store unchanged.
    #[must_use]
    pub fn none() -> Self {
        Self::seeded(0)
    }

    /// Starts a seeded plan without faults. The same seed and the same calls in the same order
    /// produce the same faults.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let delay = Duration::ZERO;
        Self { seed, unavailable: 0.0, unsent: 0.0, lost: 0.0, delayed: 0.0, delay }
    }

    /// Makes any call fail because the store can't be reached: nothing is stored, and the caller
    /// knows it.
    #[must_use]
    pub fn unavailable(self, share: f64) -> Self {
        Self { unavailable: share, ..self }
    }

    /// Loses the connection before an append or a change of a view is stored: nothing is stored,
    /// but the caller can't know it.
    #[must_use]
    pub fn unsent(self, share: f64) -> Self {
        Self { unsent: share, ..self }
    }

    /// Loses the connection after an append or a change of a view was stored: the caller can't know
    /// the outcome.
    #[must_use]
    pub fn lost(self, share: f64) -> Self {
        Self { lost: share, ..self }
    }

    /// Delays responses, by at most `delay`.
    #[must_use]
    pub fn delayed(self, share: f64, at_most: Duration) -> Self {
        Self { delayed: share, delay: at_most, ..self }
    }
}

/// Makes calls to another store fail by a seeded plan. It keeps the promises of the port: an append
/// still takes its place in the order when it is called, and every error states correctly what may
/// have happened.
#[derive(Clone)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
    plan: Arc<Mutex<Plan>>,
}

struct Plan {
    random: fastrand::Rng,
    struck: u64,
}

/// The outcome that the plan selects for a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Spared,
    Unavailable,
    Unsent,
    Lost,
}

impl<S> Faulty<S> {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: S, faults: Faults) -> Self {
        let plan = Plan { random: fastrand::Rng::with_seed(faults.seed), struck: 0 };
        Self { inner, faults, plan: Arc::new(Mutex::new(plan)) }
    }

    /// Returns the store without faults.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the number of calls that have failed by plan.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).struck
    }

    /// Draws the fate of the next call, and the delay of its response.
    fn next(&self) -> (Fate, Duration) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let Faults { unavailable, unsent, lost, delayed, delay, .. } = self.faults;
        let fate = match plan.random.f64() {
            share if share < unavailable => Fate::Unavailable,
            share if share < unavailable + unsent => Fate::Unsent,
            share if share < unavailable + unsent + lost => Fate::Lost,
            _ => Fate::Spared,
        };
        plan.struck += u64::from(fate != Fate::Spared);
        let late = plan.random.f64() < delayed;
        (fate, if late { delay.mul_f64(plan.random.f64()) } else { Duration::ZERO })
    }

    /// Applies the plan to a call that changes nothing, which can only be unavailable or late.
    async fn pass(&self, doing: &'static str) -> Result<()> {
        let (fate, delay) = self.next();
        late(delay).await;
        if fate == Fate::Unavailable { Err(unavailable(doing)) } else { Ok(()) }
    }

    /// Applies the plan to a change of a view. A caller that can't know its outcome reads the view.
    async fn change<T>(
        &self,
        doing: &'static str,
        change: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let (fate, delay) = self.next();
        if matches!(fate, Fate::Unavailable | Fate::Unsent) {
            late(delay).await;
            return Err(unavailable(doing));
        }
        let answer = change.await;
        late(delay).await;
        if fate == Fate::Lost { Err(unavailable(doing)) } else { answer }
    }
}

async fn late(delay: Duration) {
    if !delay.is_zero() {
        SystemClock.sleep(delay).await;
    }
}

fn unavailable(doing: &'static str) -> Error {
    Unavailable::unreachable(doing, Source::new("an injected fault")).into()
}

fn unknown(command: CommandId) -> Error {
    Error::UnknownOutcome { command, source: Source::new("an injected fault") }
}

impl<S: fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, faults, .. } = self;
        f.debug_struct("Faulty").field("inner", inner).field("faults", faults).finish()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventStore> EventStore for Faulty<S> {
    fn log_id(&self) -> LogId {
        self.inner.log_id()
    }

    fn append(&self, append: Append) -> AppendFuture {
        let (fate, delay) = self.next();
        let command = append.command;
        let stored = matches!(fate, Fate::Spared | Fate::Lost).then(|| self.inner.append(append));
        async move {
            let answer = match stored {
                Some(stored) => stored.await,
                None if fate == Fate::Unavailable => Err(unavailable("appending")),
                None => Err(unknown(command)),
            };
            late(delay).await;
            if fate == Fate::Lost { Err(unknown(command)) } else { answer }
        }
        .boxed()
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        self.pass("reading a stream").await?;
        self.inner.read_stream(stream, from, limit).await
    }

    async fn read_log(
        &self,
        query: &Query,
        from: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        self.pass("reading the log").await?;
        self.inner.read_log(query, from, limit).await
    }

    async fn read_log_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> Result<LogPage> {
        self.pass("reading the log").await?;
        self.inner.read_log_and_untagged(query, untagged, after, limit).await
    }

    async fn add_tags(&self, added: &[AddedTags]) -> Result<()> {
        self.change("adding tags", self.inner.add_tags(added)).await
    }

    async fn head(&self) -> Result<Position> {
        self.pass("reading the head").await?;
        self.inner.head().await
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        self.pass("waiting for events").await?;
        self.inner.wait_for_append(position).await
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        self.pass("looking up a command").await?;
        self.inner.find_command(id).await
    }

    fn transfer(&self) -> &dyn LogTransfer {
        self.inner.transfer()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SnapshotStore> SnapshotStore for Faulty<S> {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        self.pass("loading a snapshot").await?;
        self.inner.load_snapshot(stream).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        self.pass("saving a snapshot").await?;
        self.inner.save_snapshot(snapshot).await
    }
}
