//! The ports of views.

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

use super::{MemoryStore, follow};
use crate::rows::{check_key, check_range};

#[async_trait]
impl ViewStore for MemoryStore {
    async fn open_view(&self, spec: &ViewSpec, sharding: Sharding) -> Result<ViewState> {
        let now = self.shared.clock.now();
        self.state().views.open(spec, sharding, now)
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

    async fn view_definition(&self, view: &ViewName) -> Result<Option<StoredDefinition>> {
        Ok(self.state().views.get(view)?.definition.clone())
    }

    async fn replace_definition(
        &self,
        view: &ViewName,
        from: Option<DefinitionHash>,
        to: &ViewDefinition,
        through: Position,
    ) -> Result<bool> {
        Ok(self.state().views.get_mut(view)?.replace_definition(from, to, through))
    }

    async fn wait_for_view_change(&self, view: &ViewName, seen: &ViewState) -> Result<()> {
        let Some(changed) = self.change_of(view, seen)? else { return Ok(()) };
        follow::changed(changed).await
    }
}

#[async_trait]
impl GenerationStore for MemoryStore {
    async fn views(&self) -> Result<Vec<ViewName>> {
        Ok(self.state().views.names())
    }

    async fn generations(&self, view: &ViewName) -> Result<Vec<Generation>> {
        Ok(self.state().views.generations(view))
    }

    async fn promote(&self, view: &ViewName, generation: u32) -> Result<bool> {
        self.state().views.promote(view, generation)
    }

    async fn remove_generation(&self, view: &ViewName, generation: u32) -> Result<bool> {
        let now = self.shared.clock.now();
        self.state().views.remove_generation(view, generation, now)
    }
}

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn claim_shard(&self, claim: ShardClaim) -> Result<Option<Claim>> {
        let now = self.shared.clock.now();
        self.state().views.get_mut(&claim.view)?.claim(claim, now)
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
        self.state().views.find_mut(view, |view| view.release(shard, epoch));
        Ok(())
    }

    async fn stop_shard(&self, view: &ViewName, epoch: Epoch, stop: ShardStop) -> Result<()> {
        self.state().views.find_mut(view, |view| view.stop(epoch, stop));
        Ok(())
    }

    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()> {
        self.state().views.find_mut(view, |view| view.leave(worker));
        Ok(())
    }

    async fn reshard(&self, view: &ViewName, claims: &[Claim], sharding: Sharding) -> Result<()> {
        self.state().views.get_mut(view)?.reshard(view, claims, sharding)
    }
}

#[async_trait]
impl ParkedStore for MemoryStore {
    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>> {
        after.map_or(Ok(()), check_key)?;
        Ok(self.state().views.find(view, |view| view.parked.page(after, limit)))
    }

    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>> {
        check_key(key)?;
        Ok(self.state().views.find(view, |view| view.parked.queued(key, after, limit)))
    }

    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool> {
        check_key(key)?;
        Ok(self.state().views.find_mut(view, |view| view.retry(key)))
    }
}
