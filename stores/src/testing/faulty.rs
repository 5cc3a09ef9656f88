//! A store that fails by plan.

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
        Append, AppendFuture, Clock as _, EventStore, LogPage, RecordedCommand, Snapshot,
        SnapshotStore, StreamPage,
    },
};

use crate::system::SystemClock;

/// How often which fault strikes, as a share of the calls from 0 to 1.
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
    /// No faults: the store is as it is.
    #[must_use]
    pub fn none() -> Self {
        Self::seeded(0)
    }

    /// No faults yet; those that are added strike as this seed has it. The same calls in the same
    /// order meet the same faults.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let delay = Duration::ZERO;
        Self { seed, unavailable: 0.0, unsent: 0.0, lost: 0.0, delayed: 0.0, delay }
    }

    /// The store can't be reached, for any call: nothing is stored, and the caller knows.
    #[must_use]
    pub fn unavailable(self, share: f64) -> Self {
        Self { unavailable: share, ..self }
    }

    /// The connection is lost before an append or a change of a view is stored: nothing is, but the
    /// caller can't know.
    #[must_use]
    pub fn unsent(self, share: f64) -> Self {
        Self { unsent: share, ..self }
    }

    /// The connection is lost after an append or a change of a view was stored: the caller can't know.
    #[must_use]
    pub fn lost(self, share: f64) -> Self {
        Self { lost: share, ..self }
    }

    /// An answer comes late, by at most this much.
    #[must_use]
    pub fn delayed(self, share: f64, at_most: Duration) -> Self {
        Self { delayed: share, delay: at_most, ..self }
    }
}

/// Lets calls to another store fail by a seeded plan. It keeps what the port promises: an append
/// still takes its place when it is called, and every error says truly what may have happened.
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

/// What happens to a call.
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

    /// The store without faults.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// How many calls have failed by plan.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).struck
    }

    /// The fate of the next call, and how late its answer comes.
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

    /// The fate of a call that changes nothing, which can only be unavailable or late.
    async fn pass(&self, doing: &'static str) -> Result<()> {
        let (fate, delay) = self.next();
        late(delay).await;
        if fate == Fate::Unavailable { Err(unavailable(doing)) } else { Ok(()) }
    }

    /// The fate of a change of a view. Whoever can't know what became of it looks at the view.
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
        span: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        self.pass("reading a stream").await?;
        self.inner.read_stream(stream, span, limit).await
    }

    async fn read_log(
        &self,
        query: &Query,
        span: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        self.pass("reading the log").await?;
        self.inner.read_log(query, span, limit).await
    }

    async fn head(&self) -> Result<Position> {
        self.pass("asking for the head").await?;
        self.inner.head().await
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        self.pass("waiting for events").await?;
        self.inner.wait_for_append(position).await
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        self.pass("looking a command up").await?;
        self.inner.find_command(id).await
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
