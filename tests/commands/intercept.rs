//! A store whose appends and reads a test intercepts. All other calls go to the store unchanged.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use highwater::{
    CommandId, Highwater, Position, Query, Result, StreamId, Version,
    domain::{DefinitionHash, StoredDefinition, ViewDefinition, ViewName, ViewSpec},
    execute::Builder,
    port::{
        AddedTags, Append, AppendFuture, Claim, CommandPlace, EventStore, Generation,
        GenerationStore, ImportedAppend, KeyRange, LeaseStore, LogPage, LogTransfer, Members,
        ParkedKey, ParkedStore, ReadFrom, RecordedCommand, ShardClaim, ShardStop, Snapshot,
        SnapshotStore, Store, StoredRange, StoredView, StreamPage, Untagged, ViewCommit, ViewState,
        ViewStore, WorkerId,
    },
    stores,
    value::{Epoch, LogId, ShardId, Sharding},
};

#[async_trait]
pub(crate) trait Intercept: Send + Sync + 'static {
    /// Returns the store that answers now.
    fn store(&self) -> Arc<dyn Store>;

    fn append(&self, append: Append) -> AppendFuture {
        self.store().append(append)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        self.store().read_stream(stream, from, limit).await
    }
}

/// Opens a handle on a store that is intercepted.
pub(crate) fn on<I: Intercept>(interceptor: &Arc<I>) -> Builder {
    let store =
        Arc::new(Intercepted { log: interceptor.store().log_id(), by: interceptor.clone() });
    Highwater::with_store(&store, stores::SystemClock, stores::SystemIds)
}

struct Intercepted<I> {
    log: LogId,
    by: Arc<I>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Intercept> EventStore for Intercepted<I> {
    fn log_id(&self) -> LogId {
        self.log
    }

    fn append(&self, append: Append) -> AppendFuture {
        self.by.append(append)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        self.by.read_stream(stream, from, limit).await
    }

    async fn read_log(
        &self,
        query: &Query,
        from: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage> {
        self.by.store().read_log(query, from, limit).await
    }

    async fn read_log_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> Result<LogPage> {
        self.by.store().read_log_and_untagged(query, untagged, after, limit).await
    }

    async fn add_tags(&self, added: &[AddedTags]) -> Result<()> {
        self.by.store().add_tags(added).await
    }

    async fn head(&self) -> Result<Position> {
        self.by.store().head().await
    }

    async fn wait_for_append(&self, position: Position) -> Result<()> {
        self.by.store().wait_for_append(position).await
    }

    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>> {
        self.by.store().find_command(id).await
    }

    fn transfer(&self) -> &dyn LogTransfer {
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Intercept> LogTransfer for Intercepted<I> {
    async fn command_places(&self, ids: &[CommandId]) -> Result<Vec<CommandPlace>> {
        self.by.store().transfer().command_places(ids).await
    }

    async fn commands_without_events(
        &self,
        from: Position,
        after: Option<CommandId>,
        limit: usize,
    ) -> Result<Vec<CommandPlace>> {
        self.by.store().transfer().commands_without_events(from, after, limit).await
    }

    async fn import(&self, appends: &[ImportedAppend]) -> Result<()> {
        self.by.store().transfer().import(appends).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Intercept> SnapshotStore for Intercepted<I> {
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        self.by.store().load_snapshot(stream).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<()> {
        self.by.store().save_snapshot(snapshot).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Intercept> ViewStore for Intercepted<I> {
    async fn open_view(&self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState> {
        self.by.store().open_view(spec, sharding).await
    }

    async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView> {
        self.by.store().read_view(view, keys).await
    }

    async fn read_range(
        &self,
        view: &ViewName,
        range: &KeyRange,
        limit: usize,
    ) -> Result<StoredRange> {
        self.by.store().read_range(view, range, limit).await
    }

    async fn commit_view(&self, commit: ViewCommit) -> Result<()> {
        self.by.store().commit_view(commit).await
    }

    async fn view_definition(&self, view: &ViewName) -> Result<Option<StoredDefinition>> {
        self.by.store().view_definition(view).await
    }

    async fn replace_definition(
        &self,
        view: &ViewName,
        from: Option<DefinitionHash>,
        to: &ViewDefinition,
        through: Position,
    ) -> Result<bool> {
        self.by.store().replace_definition(view, from, to, through).await
    }

    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()> {
        self.by.store().wait_for_view_change(view, seen).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Intercept> GenerationStore for Intercepted<I> {
    async fn views(&self) -> Result<Vec<ViewName>> {
        self.by.store().views().await
    }

    async fn generations(&self, view: &ViewName) -> Result<Vec<Generation>> {
        self.by.store().generations(view).await
    }

    async fn promote(&self, view: &ViewName, generation: u32) -> Result<bool> {
        self.by.store().promote(view, generation).await
    }

    async fn remove_generation(&self, view: &ViewName, generation: u32) -> Result<bool> {
        self.by.store().remove_generation(view, generation).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Intercept> LeaseStore for Intercepted<I> {
    async fn claim_shard(&self, claim: ShardClaim) -> Result<Option<Claim>> {
        self.by.store().claim_shard(claim).await
    }

    async fn heartbeat(
        &self,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Members> {
        self.by.store().heartbeat(view, worker, lease).await
    }

    async fn release_shard(&self, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()> {
        self.by.store().release_shard(view, shard, epoch).await
    }

    async fn stop_shard(&self, view: &ViewName, epoch: Epoch, stop: ShardStop) -> Result<()> {
        self.by.store().stop_shard(view, epoch, stop).await
    }

    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()> {
        self.by.store().leave(view, worker).await
    }

    async fn reshard(&self, view: &ViewName, claims: &[Claim], sharding: Sharding) -> Result<()> {
        self.by.store().reshard(view, claims, sharding).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<I: Intercept> ParkedStore for Intercepted<I> {
    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        self.by.store().parked_keys(view, after, limit).await
    }

    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>> {
        self.by.store().queued_events(view, key, after, limit).await
    }

    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool> {
        self.by.store().retry_parked(view, key).await
    }
}
