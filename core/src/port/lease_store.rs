//! Leases: the assignment of shards to workers, and the right to commit (R1).

use std::time::Duration;

use async_trait::async_trait;

use super::{Claim, ClaimMode, Members, ShardStop, WorkerId};
use crate::{
    Result,
    domain::{DefinitionHash, ViewName},
    value::{Epoch, ShardId, Sharding},
};

/// A worker's request for a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardClaim {
    /// The view.
    pub view: ViewName,
    /// The sharding that the worker knows.
    pub sharding: Sharding,
    /// The shard.
    pub shard: ShardId,
    /// The worker that will hold the shard.
    pub worker: WorkerId,
    /// The behaviour if another worker holds the shard.
    pub mode: ClaimMode,
    /// The time until the shard is free again if the worker sends no heartbeat.
    pub lease: Duration,
    /// The definition that the worker folds by; `None` if it isn't known.
    pub definition: Option<DefinitionHash>,
}

/// The leases on the shards of views.
///
/// The time of leases is the store's own, so the clocks of workers need not agree. A lease only says
/// which worker *should* work. Which worker *may* commit is decided by the epoch, in the commit itself.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Gives a shard to a worker: its epoch grows, which fences the holder before. Returns `None` if
    /// another worker holds the shard and the claim's mode respects that.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict), *sharding*, if the view has been resharded: the shard
    /// has another share of the work than the worker knows; or *definition*, if the view has another one.
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened;
    /// [`Invalid`](crate::Error::Invalid) if there is no such shard.
    async fn claim_shard(&self, claim: ShardClaim) -> Result<Option<Claim>>;

    /// Records that a worker is alive: it is a member of the view's workers and keeps its shards until
    /// `lease` has passed. Returns the workers that are alive and the holders of the shards.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened.
    async fn heartbeat(
        &self,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<Members>;

    /// Gives a shard back if it still has this epoch. Its holder can't commit afterwards.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn release_shard(&self, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()>;

    /// Records that the work on a shard has stopped, if it still has this epoch: readers of the view see it until
    /// the next commit to the shard, or until the view is resharded. The claim stays.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn stop_shard(&self, view: &ViewName, epoch: Epoch, stop: ShardStop) -> Result<()>;

    /// Removes a worker from the members, and gives back all shards that it holds.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()>;

    /// Divides the work of a view again. Every shard must be claimed under these claims and be at one
    /// position, that of the first. Every shard of the new sharding starts there, free, without a
    /// cursor, with an epoch greater than all earlier ones. Parked keys stay parked.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if a claim is outdated or a shard is at another position;
    /// [`Unavailable`](crate::Error::Unavailable), with code
    /// [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if the view has never been opened.
    async fn reshard(&self, view: &ViewName, claims: &[Claim], sharding: Sharding) -> Result<()>;
}
