//! Running what a worker runs.
//!
//! | File | What is in it |
//! |---|---|
//! | `worker` | what runs together in one process, its start and its end |
//! | `running` | one projection: which shards it works on |
//! | `shard` | one shard: page, effect, commit (R1) |
//! | `failing` | an event that can't be applied: found, tried again, decided on (R4) |
//! | `draining` | parked keys that somebody wants tried again |
//! | `parking` | which keys are parked |
//! | `prepare` | the layout, the beginning |
//! | `share` | which keys belong to a shard |
//! | `policy`, `status` | how it is run, and how it fares |

mod draining;
mod failing;
mod parking;
mod policy;
mod prepare;
mod running;
mod shard;
mod share;
mod status;
mod worker;

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
    domain::ViewName,
    port::{Claim, ClaimMode, Clock, EventStore, ShardClaim, ViewStore, WorkerId},
    value::Epoch,
};

use crate::metrics::Meter;

pub(crate) use parking::Parking;
pub use policy::{Backoff, OnFailure, ProjectionOptions};
pub(crate) use share::{Share, is_fitting, progress_of};
use status::Reporter;
pub use status::{ProjectionState, ProjectionStatus};
pub use worker::{Worker, WorkerHandle};

/// What every projection of a worker needs from outside.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) log: Arc<dyn EventStore>,
    pub(crate) views: Arc<dyn ViewStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) worker: WorkerId,
    /// How long a claim lasts without a sign of life.
    pub(crate) lease: Duration,
}

/// What a shard needs from outside.
#[derive(Clone)]
pub(crate) struct ShardContext {
    pub(crate) view: ViewName,
    pub(crate) world: World,
    pub(crate) options: ProjectionOptions,
    pub(crate) share: Share,
    pub(crate) reporter: Reporter,
    pub(crate) meter: Meter,
    /// The epoch of the last claim, for whoever gives the shard back when its work has been cut off.
    pub(crate) epoch: Arc<AtomicU64>,
}

impl Deref for ShardContext {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl ShardContext {
    async fn claim(&self, claiming: ClaimMode) -> Result<Option<Claim>> {
        let (shard, worker) = (self.share.shard, &self.world.worker);
        let (view, layout) = (&self.view, self.share.layout);
        let claim = self.views.claim_shard(ShardClaim {
            view: view.clone(),
            sharding: layout,
            shard,
            worker: worker.clone(),
            mode: claiming,
            lease: self.lease,
        });
        let claim = claim.await?;
        if let Some(claim) = &claim {
            self.epoch.store(claim.epoch.get(), Ordering::Relaxed);
        }
        Ok(claim)
    }

    /// Gives the shard back, if it is still this worker's.
    async fn release(&self) -> Result<()> {
        let epoch = Epoch::new(self.epoch.load(Ordering::Relaxed));
        self.views.release_shard(&self.view, self.share.shard, epoch).await
    }
}
