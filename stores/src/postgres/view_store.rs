//! The ports of views.
//!
//! Keys that no store could hold are refused first. Every call runs to its end although its caller goes
//! away, but for reads of rows: they are many, they leave nothing half done, and the connection of a
//! cancelled read is checked before it is used again.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{
    Position, Result,
    domain::{DefinitionHash, StoredDefinition, ViewDefinition, ViewName, ViewSpec},
    error::Unavailable,
    port::{
        Claim, Generation, GenerationStore, KeyRange, LeaseStore, Members, ParkedKey, ParkedStore,
        ShardClaim, ShardStop, StoredRange, StoredView, ViewCommit, ViewState, ViewStore, WorkerId,
    },
    value::{Epoch, ShardId, Sharding},
};

use super::{PostgresStore, commit, definition, generation, read_batcher, session, shard};
use crate::{
    fencing::is_same_progress,
    rows::{check_key, check_range},
    sql::{self, parked, range, shard::release, uncancellable::uncancellable, view},
};

impl PostgresStore {
    /// Runs a call of several statements to its end, but no longer than the bound of an answer.
    async fn bounded<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        uncancellable(session::bounded(self.inner.options.answer_timeout, doing, call)).await
    }
}

#[async_trait]
impl ViewStore for PostgresStore {
    async fn open_view(&self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState> {
        uncancellable(view::open(self.inner(), spec.clone(), sharding)).await
    }

    async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView> {
        keys.iter().try_for_each(|key| check_key(key))?;
        read_batcher::read(&self.inner, view, keys).await
    }

    async fn read_range(
        &self,
        view: &ViewName,
        range: &KeyRange,
        limit: usize,
    ) -> Result<StoredRange> {
        check_range(range)?;
        range::read(&*self.inner, view, range, limit).await
    }

    async fn commit_view(&self, commit: ViewCommit) -> Result<()> {
        self.bounded("writing a view", commit::commit(self.inner(), commit)).await
    }

    async fn view_definition(&self, view: &ViewName) -> Result<Option<StoredDefinition>> {
        view::definition(&*self.inner, view).await
    }

    async fn replace_definition(
        &self,
        view: &ViewName,
        from: Option<DefinitionHash>,
        to: &ViewDefinition,
        through: Position,
    ) -> Result<bool> {
        let replace = definition::replace(self.inner(), view.clone(), from, to.clone(), through);
        self.bounded(definition::REPLACING, replace).await
    }

    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()> {
        if self.inner.is_closed() {
            return Err(Unavailable::Closed.into());
        }
        let inner = self.inner();
        let name = view.clone();
        let state = uncancellable(async move { view::read_state(&*inner, &name).await });
        let is_unchanged = async { Ok(is_same_progress(&state.await?, seen)) };
        self.inner.follower.wait_for_view(view, seen, is_unchanged).await
    }
}

#[async_trait]
impl GenerationStore for PostgresStore {
    async fn views(&self) -> Result<Vec<ViewName>> {
        uncancellable(sql::generation::views(self.inner())).await
    }

    async fn generations(&self, view: &ViewName) -> Result<Vec<Generation>> {
        uncancellable(sql::generation::list(self.inner(), view.clone())).await
    }

    async fn promote(&self, view: &ViewName, number: u32) -> Result<bool> {
        self.bounded(
            sql::generation::PROMOTING,
            generation::promote(self.inner(), view.clone(), number),
        )
        .await
    }

    async fn remove_generation(&self, view: &ViewName, number: u32) -> Result<bool> {
        self.bounded(
            sql::generation::REMOVING,
            generation::remove(self.inner(), view.clone(), number),
        )
        .await
    }
}

#[async_trait]
impl LeaseStore for PostgresStore {
    async fn claim_shard(&self, claim: ShardClaim) -> Result<Option<Claim>> {
        uncancellable(shard::claim(self.inner(), claim)).await
    }

    async fn heartbeat(
        &self,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Members> {
        uncancellable(shard::heartbeat(self.inner(), view.clone(), worker.clone(), lease)).await
    }

    async fn release_shard(&self, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()> {
        uncancellable(release(self.inner(), view.clone(), shard, epoch)).await
    }

    async fn stop_shard(&self, view: &ViewName, epoch: Epoch, stop: ShardStop) -> Result<()> {
        uncancellable(shard::stop(self.inner(), view.clone(), epoch, stop)).await
    }

    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()> {
        uncancellable(shard::leave(self.inner(), view.clone(), worker.clone())).await
    }

    async fn reshard(&self, view: &ViewName, claims: &[Claim], sharding: Sharding) -> Result<()> {
        let reshard = shard::reshard(self.inner(), view.clone(), claims.to_vec(), sharding);
        self.bounded("resharding a view", reshard).await
    }
}

#[async_trait]
impl ParkedStore for PostgresStore {
    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        after.map_or(Ok(()), check_key)?;
        let after = after.map(str::to_owned);
        uncancellable(parked::page(self.inner(), view.clone(), after, limit)).await
    }

    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>> {
        check_key(key)?;
        uncancellable(parked::queued(self.inner(), view.clone(), key.to_owned(), after, limit))
            .await
    }

    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool> {
        check_key(key)?;
        uncancellable(parked::retry(self.inner(), view.clone(), key.to_owned())).await
    }
}
