//! Stores that count the calls for their views, and that can be slow or unavailable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use highwater::{
    CommandId, Highwater, Position, Query, Result, StreamId, Version,
    domain::{DefinitionHash, StoredDefinition, ViewDefinition, ViewName, ViewSpec},
    error::{Source, Unavailable},
    port::{
        AddedTags, Append, AppendFuture, Claim, EventStore, Generation, GenerationStore, KeyRange,
        LeaseStore, LogPage, LogTransfer, Members, ParkedKey, ParkedStore, ReadFrom,
        RecordedCommand, ShardClaim, ShardStop, Snapshot, SnapshotStore, Store, StoredRange,
        StoredView, StreamPage, Untagged, ViewCommit, ViewState, ViewStore, WorkerId,
    },
    stores,
    value::{Epoch, LogId, ShardId, Sharding},
};
use highwater_test_support::bank::Bank;

use tokio::sync::watch;

/// The numbers of calls so far.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) view_reads: AtomicUsize,
    pub(crate) head_reads: AtomicUsize,
    pub(crate) log_reads: AtomicUsize,
    /// The number of concurrent waits for a change, current and highest.
    pub(crate) waiting: AtomicUsize,
    pub(crate) most_waiting: AtomicUsize,
    /// True if the log is unavailable.
    pub(crate) is_away: AtomicBool,
    /// True if calls to the log never return.
    pub(crate) is_stuck: AtomicBool,
    /// True while reads of the view are held up; `held` counts them.
    pub(crate) is_held: watch::Sender<bool>,
    pub(crate) held: AtomicUsize,
}

impl Counts {
    pub(crate) fn of(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }

    fn count(counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::SeqCst);
    }

    async fn hold(&self) {
        let mut is_held = self.is_held.subscribe();
        if *is_held.borrow_and_update() {
            Self::count(&self.held);
            let _ = is_held.wait_for(|is_held| !is_held).await;
        }
    }

    async fn is_there(&self) -> Result<()> {
        if self.is_stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Unavailable::unreachable("asking", Source::new("away on purpose")).into());
        }
        Ok(())
    }
}

/// The count of one wait, released when the wait ends or is cancelled.
struct Waiting<'a>(&'a Counts);

impl<'a> Waiting<'a> {
    fn on(counts: &'a Counts) -> Self {
        let now = counts.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most_waiting.fetch_max(now, Ordering::SeqCst);
        Self(counts)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Counting<S> {
    inner: S,
    counts: Arc<Counts>,
}

/// Opens a store that counts its calls.
pub(crate) async fn open(bank: &Bank) -> (Highwater, Arc<Counts>) {
    let (store, counts) = counted(bank).await;
    (Highwater::with_store(&store, stores::SystemClock, stores::SystemIds).build(), counts)
}

pub(crate) async fn counted(bank: &Bank) -> (Arc<Counting<Arc<dyn Store>>>, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let inner = bank.store().await;
    (Arc::new(Counting { inner, counts: counts.clone() }), counts)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Counting<Arc<dyn Store>> {
    fn log_id(&self) -> LogId {
        self.inner.log_id()
    }

    fn append(&self, append: Append) -> AppendFuture {
        self.inner.append(append)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        span: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        self.counts.is_there().await?;
        Counts::count(&self.counts.log_reads);
        self.inner.read_stream(stream, span, limit).await
    }

    async fn read_log(
        &self,
        query: &Query,
        span: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        self.counts.is_there().await?;
        Counts::count(&self.counts.log_reads);
        self.inner.read_log(query, span, limit).await
    }

    async fn read_log_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> Result<LogPage> {
        self.counts.is_there().await?;
        Counts::count(&self.counts.log_reads);
        self.inner.read_log_and_untagged(query, untagged, after, limit).await
    }

    async fn add_tags(&self, added: &[AddedTags]) -> Result<()> {
        self.inner.add_tags(added).await
    }

    async fn head(&self) -> Result<Position> {
        self.counts.is_there().await?;
        Counts::count(&self.counts.head_reads);
        self.inner.head().await
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        self.inner.wait_for_append(position).await
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        self.inner.find_command(id).await
    }

    fn transfer(&self) -> &dyn LogTransfer {
        self.inner.transfer()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SnapshotStore for Counting<Arc<dyn Store>> {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        self.inner.load_snapshot(stream).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        self.inner.save_snapshot(snapshot).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ViewStore for Counting<Arc<dyn Store>> {
    async fn open_view(&self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState> {
        self.inner.open_view(spec, sharding).await
    }

    async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView> {
        Counts::count(&self.counts.view_reads);
        let read = self.inner.read_view(view, keys).await;
        self.counts.hold().await;
        read
    }

    async fn read_range(
        &self,
        view: &ViewName,
        range: &KeyRange,
        limit: usize,
    ) -> Result<StoredRange> {
        Counts::count(&self.counts.view_reads);
        self.inner.read_range(view, range, limit).await
    }

    async fn commit_view(&self, commit: ViewCommit) -> Result<()> {
        self.inner.commit_view(commit).await
    }

    async fn view_definition(&self, view: &ViewName) -> Result<Option<StoredDefinition>> {
        self.inner.view_definition(view).await
    }

    async fn replace_definition(
        &self,
        view: &ViewName,
        from: Option<DefinitionHash>,
        to: &ViewDefinition,
        through: Position,
    ) -> Result<bool> {
        self.inner.replace_definition(view, from, to, through).await
    }

    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()> {
        let _waiting = Waiting::on(&self.counts);
        self.inner.wait_for_view_change(view, seen).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl GenerationStore for Counting<Arc<dyn Store>> {
    async fn views(&self) -> Result<Vec<ViewName>> {
        self.inner.views().await
    }

    async fn generations(&self, view: &ViewName) -> Result<Vec<Generation>> {
        self.inner.generations(view).await
    }

    async fn promote(&self, view: &ViewName, generation: u32) -> Result<bool> {
        self.inner.promote(view, generation).await
    }

    async fn remove_generation(&self, view: &ViewName, generation: u32) -> Result<bool> {
        self.inner.remove_generation(view, generation).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LeaseStore for Counting<Arc<dyn Store>> {
    async fn claim_shard(&self, claim: ShardClaim) -> Result<Option<Claim>> {
        self.inner.claim_shard(claim).await
    }

    async fn heartbeat(
        &self,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Members> {
        self.inner.heartbeat(view, worker, lease).await
    }

    async fn release_shard(&self, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()> {
        self.inner.release_shard(view, shard, epoch).await
    }

    async fn stop_shard(&self, view: &ViewName, epoch: Epoch, stop: ShardStop) -> Result<()> {
        self.inner.stop_shard(view, epoch, stop).await
    }

    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()> {
        self.inner.leave(view, worker).await
    }

    async fn reshard(&self, view: &ViewName, claims: &[Claim], sharding: Sharding) -> Result<()> {
        self.inner.reshard(view, claims, sharding).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ParkedStore for Counting<Arc<dyn Store>> {
    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        self.inner.parked_keys(view, after, limit).await
    }

    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>> {
        self.inner.queued_events(view, key, after, limit).await
    }

    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool> {
        self.inner.retry_parked(view, key).await
    }
}
