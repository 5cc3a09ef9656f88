//! The calls of views, with injected faults.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{
    Position, Result,
    domain::{DefinitionHash, StoredDefinition, ViewDefinition, ViewName, ViewSpec},
    port::{
        Claim, Generation, GenerationStore, KeyRange, LeaseStore, Members, ParkedKey, ParkedStore,
        ShardClaim, ShardStop, StoredRange, StoredView, ViewCommit, ViewState, ViewStore, WorkerId,
    },
    value::{Epoch, ShardId, Sharding},
};

use super::Faulty;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ViewStore> ViewStore for Faulty<S> {
    async fn open_view(&self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState> {
        self.change("opening a view", self.inner.open_view(spec, sharding)).await
    }

    async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView> {
        self.pass("reading a view").await?;
        self.inner.read_view(view, keys).await
    }

    async fn read_range(
        &self,
        view: &ViewName,
        range: &KeyRange,
        limit: usize,
    ) -> Result<StoredRange> {
        self.pass("reading a view").await?;
        self.inner.read_range(view, range, limit).await
    }

    async fn commit_view(&self, commit: ViewCommit) -> Result<()> {
        self.change("committing a view", self.inner.commit_view(commit)).await
    }

    async fn view_definition(&self, view: &ViewName) -> Result<Option<StoredDefinition>> {
        self.pass("reading a view").await?;
        self.inner.view_definition(view).await
    }

    async fn replace_definition(
        &self,
        view: &ViewName,
        from: Option<DefinitionHash>,
        to: &ViewDefinition,
        through: Position,
    ) -> Result<bool> {
        let replace = self.inner.replace_definition(view, from, to, through);
        self.change("replacing the definition of a view", replace).await
    }

    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()> {
        self.pass("waiting for a view").await?;
        self.inner.wait_for_view_change(view, seen).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: GenerationStore> GenerationStore for Faulty<S> {
    async fn views(&self) -> Result<Vec<ViewName>> {
        self.pass("reading the names of the views").await?;
        self.inner.views().await
    }

    async fn generations(&self, view: &ViewName) -> Result<Vec<Generation>> {
        self.pass("reading the generations of a view").await?;
        self.inner.generations(view).await
    }

    async fn promote(&self, view: &ViewName, generation: u32) -> Result<bool> {
        self.change("promoting a generation", self.inner.promote(view, generation)).await
    }

    async fn remove_generation(&self, view: &ViewName, generation: u32) -> Result<bool> {
        let remove = self.inner.remove_generation(view, generation);
        self.change("removing a generation", remove).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: LeaseStore> LeaseStore for Faulty<S> {
    async fn claim_shard(&self, claim: ShardClaim) -> Result<Option<Claim>> {
        let claim = self.inner.claim_shard(claim);
        self.change("claiming a shard", claim).await
    }

    async fn heartbeat(
        &self,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Members> {
        self.change("sending a heartbeat", self.inner.heartbeat(view, worker, lease)).await
    }

    async fn release_shard(&self, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()> {
        self.change("releasing a shard", self.inner.release_shard(view, shard, epoch)).await
    }

    async fn stop_shard(&self, view: &ViewName, epoch: Epoch, stop: ShardStop) -> Result<()> {
        self.change("stopping a shard", self.inner.stop_shard(view, epoch, stop)).await
    }

    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()> {
        self.change("leaving a view", self.inner.leave(view, worker)).await
    }

    async fn reshard(&self, view: &ViewName, claims: &[Claim], sharding: Sharding) -> Result<()> {
        self.change("resharding a view", self.inner.reshard(view, claims, sharding)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ParkedStore> ParkedStore for Faulty<S> {
    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        self.pass("listing parked keys").await?;
        self.inner.parked_keys(view, after, limit).await
    }

    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>> {
        self.pass("reading queued events").await?;
        self.inner.queued_events(view, key, after, limit).await
    }

    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool> {
        self.change("requesting a retry", self.inner.retry_parked(view, key)).await
    }
}
