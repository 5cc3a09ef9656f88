//! Commits that fail, and commits whose answer is lost.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use highwater_core::{
    Position, Result,
    domain::{DefinitionHash, StoredDefinition, ViewDefinition, ViewName, ViewSpec},
    error::{Source, Unavailable},
    port::{
        Claim, Generation, GenerationStore, KeyRange, LeaseStore, Members, ParkedKey, ParkedStore,
        ShardClaim, ShardStop, StoredRange, StoredView, ViewCommit, ViewState, ViewStore, WorkerId,
    },
    value::{Epoch, ShardId, Sharding},
};

use super::WorkerFaults;

pub(super) struct FaultyViewStore {
    pub(super) views: Arc<dyn ViewStore>,
    pub(super) faults: WorkerFaults,
}

fn crash(when: &'static str) -> Unavailable {
    Unavailable::unreachable("writing a view", Source::new(when))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ViewStore for FaultyViewStore {
    async fn commit_view(&self, commit: ViewCommit) -> Result<()> {
        if self.faults.should_inject(self.faults.before_commit) {
            return Err(crash("a crash before the commit, on purpose").into());
        }
        self.views.commit_view(commit).await?;
        if self.faults.should_inject(self.faults.after_commit) {
            return Err(crash("a crash after the commit, on purpose").into());
        }
        Ok(())
    }

    async fn open_view(&self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState> {
        self.views.open_view(spec, sharding).await
    }

    async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView> {
        self.views.read_view(view, keys).await
    }

    async fn read_range(
        &self,
        view: &ViewName,
        range: &KeyRange,
        limit: usize,
    ) -> Result<StoredRange> {
        self.views.read_range(view, range, limit).await
    }

    async fn view_definition(&self, view: &ViewName) -> Result<Option<StoredDefinition>> {
        self.views.view_definition(view).await
    }

    async fn replace_definition(
        &self,
        view: &ViewName,
        from: Option<DefinitionHash>,
        to: &ViewDefinition,
        through: Position,
    ) -> Result<bool> {
        self.views.replace_definition(view, from, to, through).await
    }

    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()> {
        self.views.wait_for_view_change(view, seen).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl GenerationStore for FaultyViewStore {
    async fn views(&self) -> Result<Vec<ViewName>> {
        self.views.views().await
    }

    async fn generations(&self, view: &ViewName) -> Result<Vec<Generation>> {
        self.views.generations(view).await
    }

    async fn promote(&self, view: &ViewName, generation: u32) -> Result<bool> {
        self.views.promote(view, generation).await
    }

    async fn remove_generation(&self, view: &ViewName, generation: u32) -> Result<bool> {
        self.views.remove_generation(view, generation).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LeaseStore for FaultyViewStore {
    async fn claim_shard(&self, claim: ShardClaim) -> Result<Option<Claim>> {
        self.views.claim_shard(claim).await
    }

    async fn heartbeat(
        &self,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Members> {
        self.views.heartbeat(view, worker, lease).await
    }

    async fn release_shard(&self, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()> {
        self.views.release_shard(view, shard, epoch).await
    }

    async fn stop_shard(&self, view: &ViewName, epoch: Epoch, stop: ShardStop) -> Result<()> {
        self.views.stop_shard(view, epoch, stop).await
    }

    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()> {
        self.views.leave(view, worker).await
    }

    async fn reshard(&self, view: &ViewName, claims: &[Claim], sharding: Sharding) -> Result<()> {
        self.views.reshard(view, claims, sharding).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ParkedStore for FaultyViewStore {
    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        self.views.parked_keys(view, after, limit).await
    }

    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>> {
        self.views.queued_events(view, key, after, limit).await
    }

    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool> {
        self.views.retry_parked(view, key).await
    }
}
