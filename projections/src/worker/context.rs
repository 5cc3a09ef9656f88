//! The environment of projections and of shards.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater_core::{
    Result,
    port::{Claim, ClaimMode, Clock, EventStore, ShardClaim, ViewStore, WorkerId},
    value::Epoch,
};

use super::reporter::ProjectionReporter;
use crate::projection::ShardContext;

/// The environment of every projection of a worker.
#[derive(Clone)]
pub(super) struct WorkerContext {
    pub(super) log: Arc<dyn EventStore>,
    pub(super) views: Arc<dyn ViewStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) worker: WorkerId,
    /// The duration of a claim without a heartbeat.
    pub(super) lease: Duration,
}

/// The environment of a shard that this worker claims.
#[derive(Clone)]
pub(super) struct ClaimContext {
    pub(super) shard: ShardContext,
    pub(super) worker: WorkerContext,
    pub(super) reporter: ProjectionReporter,
    /// The epoch of the last claim, to release the shard after its task has been aborted.
    pub(super) epoch: Arc<AtomicU64>,
}

impl Deref for ClaimContext {
    type Target = ShardContext;

    fn deref(&self) -> &ShardContext {
        &self.shard
    }
}

impl ClaimContext {
    pub(super) async fn claim(&self, mode: ClaimMode) -> Result<Option<Claim>> {
        let WorkerContext { worker, lease, .. } = &self.worker;
        let sharding = self.scope.sharding;
        let shard = self.scope.shard;
        let claim = self.views.claim_shard(ShardClaim {
            view: self.view.clone(),
            sharding,
            shard,
            worker: worker.clone(),
            mode,
            lease: *lease,
        });
        let claim = claim.await?;
        if let Some(claim) = &claim {
            self.epoch.store(claim.epoch.get(), Ordering::Relaxed);
        }
        Ok(claim)
    }

    /// Releases the shard if this worker still owns it.
    pub(super) async fn release(&self) -> Result<()> {
        let epoch = Epoch::new(self.epoch.load(Ordering::Relaxed));
        self.views.release_shard(&self.view, self.scope.shard, epoch).await
    }

    /// Sleeps by the clock of the port.
    pub(super) async fn sleep(&self, duration: Duration) {
        self.worker.clock.sleep(duration).await;
    }
}
