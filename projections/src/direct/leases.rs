//! The shards of a worker, assigned by leases in the view store.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use highwater_core::{
    Result,
    port::{Assignment, Clock, Subscription, ViewStore, WorkerId},
    value::ShardId,
};

use super::balance::assignments;
use crate::heartbeat::Heartbeat;

/// A worker's share of the shards of a view, by leases. It sends a heartbeat every fifth of the lease, while
/// its [`next_assignment`](Self::next_assignment) is polled.
pub struct Leases {
    heartbeat: Heartbeat,
    worker: WorkerId,
    held: BTreeSet<ShardId>,
    pending: VecDeque<Assignment>,
}

impl Leases {
    /// Creates the share of the subscription's worker, with leases of this length.
    #[must_use]
    pub fn new(
        views: &Arc<dyn ViewStore>,
        clock: &Arc<dyn Clock>,
        subscription: &Subscription,
        lease: Duration,
    ) -> Self {
        let Subscription { view, worker, .. } = subscription;
        Self {
            heartbeat: Heartbeat::new(views, clock, view, worker, lease),
            worker: worker.clone(),
            held: BTreeSet::new(),
            pending: VecDeque::new(),
        }
    }

    /// Waits for the next assignment. Safe to cancel.
    ///
    /// # Errors
    /// As [`LeaseStore::heartbeat`](highwater_core::port::LeaseStore::heartbeat).
    pub async fn next_assignment(&mut self) -> Result<Assignment> {
        loop {
            if !self.heartbeat.is_due()
                && let Some(assignment) = self.pending.pop_front()
            {
                if let Assignment::Assigned(shard, _) = assignment {
                    self.held.insert(shard);
                }
                return Ok(assignment);
            }
            let members = self.heartbeat.next().await?;
            self.pending = assignments(&members, &self.worker, &self.held).into();
        }
    }

    /// Notes that the work on a shard has ended.
    pub fn released(&mut self, shard: ShardId) {
        self.held.remove(&shard);
    }

    /// Gives back all shards that are held.
    ///
    /// # Errors
    /// As [`LeaseStore::leave`](highwater_core::port::LeaseStore::leave).
    pub async fn leave(self) -> Result<()> {
        self.heartbeat.leave().await
    }
}
