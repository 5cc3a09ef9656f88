//! A store in the memory of this process: for tests, for examples, and as the model of the others.
//!
//! It keeps every contract but W7: what it holds is gone with the process.

mod append;
mod follow;
mod idempotency;
mod parked;
mod range;
mod read;
mod shard;
mod snapshot;
mod view;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use highwater_core::{
    CommandId, LogId, Position, Query, ReadFrom, Result, StreamId, Version,
    domain::{ViewName, ViewSpec},
    port::{
        Append, AppendFuture, Claim, ClaimMode, Clock, EventStore, Ids, KeyRange, Limits, LogPage,
        Members, ParkedKey, RecordedCommand, Snapshot, SnapshotStore, StoredRange, StoredView,
        StreamPage, ViewCommit, ViewState, ViewStore, WorkerId,
    },
    value::{Epoch, ShardId, Sharding},
};
use tokio::sync::watch;

use self::{append::Log, idempotency::Commands, snapshot::Snapshots, view::Views};
use crate::{
    metrics::Meter,
    rows::{check_key, check_range},
    system::{SystemClock, SystemIds},
};

/// A store in memory. A clone is another handle to the same log.
///
/// Each call does its work at once, under one lock that is never held over an `await`.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    limits: Limits,
    id: LogId,
    state: Mutex<State>,
    head: watch::Sender<Position>,
    meter: Meter,
}

#[derive(Default)]
struct State {
    log: Log,
    commands: Commands,
    snapshots: Snapshots,
    views: Views,
}

impl MemoryStore {
    /// An empty store whose events are dated by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_limits(clock, Limits::default())
    }

    /// An empty store that refuses what is larger than `limits`.
    #[must_use]
    pub fn with_limits(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let (head, _) = watch::channel(Position::START);
        let id = LogId::of(SystemIds.command_id().as_uuid().as_bytes());
        let (state, meter) = (Mutex::default(), Meter::new("memory"));
        Self { shared: Arc::new(Shared { clock, limits, id, state, head, meter }) }
    }

    /// Nothing panics between two changes that belong together, so a poisoned lock is no harm.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    /// With the clock of this machine.
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("head", &*self.shared.head.borrow()).finish()
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    fn log_id(&self) -> LogId {
        self.shared.id
    }

    fn append(&self, append: Append) -> AppendFuture {
        let events = append.events().count();
        let answer = self.append_now(append);
        self.shared.meter.answered(events, &answer);
        std::future::ready(answer).boxed()
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        span: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        Ok(self.state().log.stream_page(stream, span, limit))
    }

    async fn read_log(
        &self,
        query: &Query,
        span: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        query.validate()?;
        Ok(self.state().log.page(query, span, limit))
    }

    async fn head(&self) -> Result<Position> {
        Ok(self.state().log.head())
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        follow::beyond(self.shared.head.subscribe(), position).await
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        Ok(self.state().commands.get(id))
    }
}

#[async_trait]
impl SnapshotStore for MemoryStore {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        Ok(self.state().snapshots.load(stream))
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        self.state().snapshots.save(snapshot);
        Ok(())
    }
}

#[async_trait]
impl ViewStore for MemoryStore {
    async fn open_view(&self, spec: &ViewSpec, layout: Sharding) -> Result<ViewState> {
        self.state().views.open(spec, layout)
    }

    async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let state = self.state();
        Ok(StoredView { head: Some(state.log.head()), ..state.views.read(view, keys)? })
    }

    async fn read_range(
        &self,
        view: &ViewName,
        range: &KeyRange,
        limit: usize,
    ) -> Result<StoredRange> {
        check_range(range)?;
        let state = self.state();
        Ok(StoredRange { head: Some(state.log.head()), ..state.views.range(view, range, limit)? })
    }

    async fn commit_view(&self, commit: ViewCommit) -> Result<()> {
        let now = self.shared.clock.now();
        self.state().views.commit(commit, now)
    }

    async fn claim_shard(
        &self,
        view: &ViewName,
        layout: Sharding,
        shard: ShardId,
        worker: &WorkerId,
        claiming: ClaimMode,
        lease: Duration,
    ) -> Result<Option<Claim>> {
        let lease = (self.shared.clock.now(), lease);
        self.state().views.get_mut(view)?.claim((view, layout), shard, worker, claiming, lease)
    }

    async fn heartbeat(
        &self,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Members> {
        let now = self.shared.clock.now();
        Ok(self.state().views.get_mut(view)?.heartbeat(worker, now, lease))
    }

    async fn release_shard(&self, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()> {
        self.state().views.known_mut(view, |view| view.release(shard, epoch));
        Ok(())
    }

    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()> {
        self.state().views.known_mut(view, |view| view.leave(worker));
        Ok(())
    }

    async fn reshard(&self, view: &ViewName, claims: &[Claim], layout: Sharding) -> Result<()> {
        self.state().views.get_mut(view)?.divide(view, claims, layout)
    }

    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        after.map_or(Ok(()), check_key)?;
        Ok(self.state().views.known(view, |view| view.parked.page(after, limit)))
    }

    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>> {
        check_key(key)?;
        Ok(self.state().views.known(view, |view| view.parked.queued(key, after, limit)))
    }

    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool> {
        check_key(key)?;
        Ok(self.state().views.known_mut(view, |view| view.retry(key)))
    }

    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()> {
        let Some(changed) = self.change_of(view, seen)? else { return Ok(()) };
        follow::changed(changed).await
    }
}
