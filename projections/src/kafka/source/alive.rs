//! Signs of life of a member of a group.
//!
//! Who works on what is what the group decides, and who may commit what the epochs say. But whoever
//! shares a view by leases, or is about to divide it anew, looks at the leases: without a sign of life
//! of its own a member's shards would seem to be free as soon as the lease of its claim is over.

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Code, Error, Result,
    domain::ViewName,
    port::{Clock, Subscription, ViewStore, WorkerId},
};
use jiff::Timestamp;

/// Lets others see that a worker is alive, and keeps what it holds its own.
#[derive(Clone)]
pub(super) struct Alive {
    views: Arc<dyn ViewStore>,
    clock: Arc<dyn Clock>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
    due: Timestamp,
}

impl Alive {
    pub(super) fn new(
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
            due: Timestamp::UNIX_EPOCH,
        }
    }

    /// Gives a sign of life whenever one is due, until the view isn't there any more. Safe to cancel.
    pub(super) async fn keep(&mut self) -> Error {
        loop {
            if let Err(error) = self.sign().await {
                return error;
            }
        }
    }

    /// Waits until one is due, and gives it. That the store can't be asked is no reason to leave the
    /// group: what somebody else takes meanwhile is fenced.
    async fn sign(&mut self) -> Result<()> {
        let wait = self.due.duration_since(self.clock.now()).try_into().unwrap_or(Duration::ZERO);
        if wait > Duration::ZERO {
            self.clock.sleep(wait).await;
        }
        match self.views.heartbeat(&self.view, &self.worker, self.lease).await {
            Err(error) if error.code() == Code::VIEW_MISSING => return Err(error),
            Err(error) => tracing::warn!(view = %self.view, %error, "a sign of life failed"),
            Ok(_) => {}
        }
        self.due = self.clock.now() + self.lease / 5;
        Ok(())
    }

    /// Gives back all that the worker holds.
    pub(super) async fn leave(self) -> Result<()> {
        self.views.leave(&self.view, &self.worker).await
    }
}
