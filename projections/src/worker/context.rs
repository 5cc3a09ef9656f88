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
    Error, Result,
    domain::DefinitionHash,
    port::{Claim, ClaimMode, Clock, EventStore, ShardClaim, ShardStop, ViewStore, WorkerId},
    value::Epoch,
};

use super::{
    failure::{is_fenced, is_transient},
    reporter::ShardReporter,
};
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
    pub(super) reporter: ShardReporter,
    /// The definition that the worker folds by.
    pub(super) definition: Option<DefinitionHash>,
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
            definition: self.definition,
        });
        let claim = claim.await?;
        if let Some(claim) = &claim {
            self.epoch.store(claim.epoch.get(), Ordering::Relaxed);
        }
        Ok(claim)
    }

    /// Releases the shard if this worker still owns it.
    pub(super) async fn release(&self) -> Result<()> {
        self.views.release_shard(&self.view, self.scope.shard, self.epoch()).await
    }

    /// Records that the work on the claimed shard has stopped, so that readers learn of it, unless the error is
    /// transient or another worker owns the shard. A store that doesn't take the record doesn't keep the projection
    /// from stopping.
    pub(super) async fn record_stop(&self, error: &Error) {
        let is_claimed = self.epoch() > Epoch::default();
        if !is_claimed || is_transient(error, &self.view) || is_fenced(error) {
            return;
        }
        let shard = self.scope.shard;
        let stop = ShardStop {
            shard,
            at: self.worker.clock.now(),
            error: format!("{}: {error}", error.code()),
        };
        if let Err(error) = self.views.stop_shard(&self.view, self.epoch(), stop).await {
            tracing::warn!(view = %self.view, %shard, %error, "the stop could not be recorded");
        }
    }

    /// Returns the epoch of the last claim.
    fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch.load(Ordering::Relaxed))
    }

    /// Sleeps by the clock of the port.
    pub(super) async fn sleep(&self, duration: Duration) {
        self.worker.clock.sleep(duration).await;
    }
}
