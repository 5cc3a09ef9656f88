//! Heartbeats of a worker in the view store.

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Result,
    domain::ViewName,
    port::{Clock, Members, ViewStore, WorkerId},
};
use jiff::Timestamp;

/// Sends a heartbeat every fifth of the lease, which keeps the leases of a worker.
#[derive(Clone)]
pub(super) struct Heartbeat {
    views: Arc<dyn ViewStore>,
    clock: Arc<dyn Clock>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
    due: Timestamp,
}

impl Heartbeat {
    /// Creates the heartbeat of a worker. The first one is due at once.
    pub(super) fn new(
        views: &Arc<dyn ViewStore>,
        clock: &Arc<dyn Clock>,
        view: &ViewName,
        worker: &WorkerId,
        lease: Duration,
    ) -> Self {
        Self {
            views: Arc::clone(views),
            clock: Arc::clone(clock),
            view: view.clone(),
            worker: worker.clone(),
            lease,
            due: Timestamp::UNIX_EPOCH,
        }
    }

    /// Skips one heartbeat: a claim has just shown that the worker is alive.
    pub(super) fn skip(mut self) -> Self {
        self.due = self.next_due();
        self
    }

    /// Waits until a heartbeat is due, and sends it. Safe to cancel.
    pub(super) async fn send(&mut self) -> Result<Members> {
        let wait = self.due.duration_since(self.clock.now()).try_into().unwrap_or_default();
        if wait > Duration::ZERO {
            self.clock.sleep(wait).await;
        }
        let members = self.views.heartbeat(&self.view, &self.worker, self.lease).await;
        self.due = self.next_due();
        members
    }

    fn next_due(&self) -> Timestamp {
        self.clock.now() + self.lease / 5
    }

    /// Releases everything that the worker holds.
    pub(super) async fn leave(self) -> Result<()> {
        self.views.leave(&self.view, &self.worker).await
    }
}
