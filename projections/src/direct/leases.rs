//! Which worker works on which shard, agreed on through the view store.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use highwater_core::{
    Result,
    domain::ViewName,
    port::{Assignment, Clock, Subscription, ViewStore, WorkerId},
    value::ShardId,
};
use jiff::Timestamp;

use super::balance::changes;

/// A worker's part in the work on a view, by leases. It gives a sign of life every fifth of the lease,
/// while it is asked for changes.
pub struct Leases {
    views: Arc<dyn ViewStore>,
    clock: Arc<dyn Clock>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
    held: BTreeSet<ShardId>,
    pending: VecDeque<Assignment>,
    /// When the next sign of life is due: asking often doesn't put it off.
    due: Timestamp,
}

impl Leases {
    /// Takes part as the worker that is named, with leases of this length.
    #[must_use]
    pub fn new(
        views: &Arc<dyn ViewStore>,
        clock: &Arc<dyn Clock>,
        feeding: &Subscription,
        lease: Duration,
    ) -> Self {
        Self {
            views: Arc::clone(views),
            clock: Arc::clone(clock),
            view: feeding.view.clone(),
            worker: feeding.worker.clone(),
            lease,
            held: BTreeSet::new(),
            pending: VecDeque::new(),
            due: Timestamp::UNIX_EPOCH,
        }
    }

    /// The next change; waits for one. Safe to cancel.
    ///
    /// # Errors
    /// As [`ViewStore::heartbeat`].
    pub async fn change(&mut self) -> Result<Assignment> {
        loop {
            let wait = self.due.duration_since(self.clock.now()).try_into().unwrap_or_default();
            if wait > Duration::ZERO {
                if let Some(change) = self.pending.pop_front() {
                    if let Assignment::Assigned(shard, _) = change {
                        self.held.insert(shard);
                    }
                    return Ok(change);
                }
                self.clock.sleep(wait).await;
            }
            let roll = self.views.heartbeat(&self.view, &self.worker, self.lease).await?;
            self.due = self.clock.now() + self.lease / 5;
            self.pending = changes(&roll, &self.worker, &self.held).into();
        }
    }

    /// Hears that the work on a shard has ended.
    pub fn ended(&mut self, shard: ShardId) {
        self.held.remove(&shard);
    }

    /// Gives back all that is held.
    ///
    /// # Errors
    /// As [`ViewStore::leave`].
    pub async fn leave(self) -> Result<()> {
        self.views.leave(&self.view, &self.worker).await
    }
}
