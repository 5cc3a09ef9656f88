//! Heartbeats: a worker keeps its leases on a view.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use highwater_core::{
    Result,
    domain::ViewName,
    port::{Clock, Members, ViewStore, WorkerId},
};
use jiff::Timestamp;

/// The heartbeats of one worker for one view, one every fifth of the lease. Without them other workers take
/// its shards when the lease has expired.
#[derive(Clone)]
pub(crate) struct Heartbeat {
    views: Arc<dyn ViewStore>,
    clock: Arc<dyn Clock>,
    view: ViewName,
    worker: WorkerId,
    lease: Duration,
    /// The time of the next heartbeat. Calling often doesn't postpone it.
    due: Timestamp,
    /// The heartbeat that has been sent and not answered. A caller that stops waiting leaves it here: the store
    /// carries it out all the same, and after `leave` it would make the worker a member again.
    in_flight: Option<Shared<BoxFuture<'static, Result<Members>>>>,
}

impl Heartbeat {
    /// Creates the heartbeats; the first one is due at once.
    pub(crate) fn new(
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
            in_flight: None,
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.wait().is_zero()
    }

    /// Waits until a heartbeat is due, sends it, and returns the members of the view. The next one is due a
    /// fifth of the lease later, even if this one failed. Safe to cancel.
    ///
    /// # Errors
    /// As [`LeaseStore::heartbeat`](highwater_core::port::LeaseStore::heartbeat).
    pub(crate) async fn next(&mut self) -> Result<Members> {
        let wait = self.wait();
        if self.in_flight.is_none() && !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
        let members = self.in_flight.get_or_insert_with(|| {
            let views = Arc::clone(&self.views);
            let view = self.view.clone();
            let worker = self.worker.clone();
            let lease = self.lease;
            async move { views.heartbeat(&view, &worker, lease).await }.boxed().shared()
        });
        let members = members.clone().await;
        self.in_flight = None;
        self.due = self.clock.now() + self.lease / 5;
        members
    }

    /// Skips one heartbeat: a claim has just shown that the worker is alive.
    #[cfg(feature = "kafka")]
    pub(crate) fn skip(mut self) -> Self {
        self.due = self.clock.now() + self.lease / 5;
        self
    }

    /// Sends heartbeats while `work` runs. An error of either ends both.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                members = self.next() => drop(members?),
                done = &mut work => return done,
            }
        }
    }

    /// Gives back all shards that the worker holds, after the heartbeat that is in flight.
    ///
    /// # Errors
    /// As [`LeaseStore::leave`](highwater_core::port::LeaseStore::leave).
    pub(crate) async fn leave(self) -> Result<()> {
        if let Some(in_flight) = self.in_flight {
            // Its outcome no longer matters.
            let _ = in_flight.await;
        }
        self.views.leave(&self.view, &self.worker).await
    }

    fn wait(&self) -> Duration {
        wait_until(self.due, self.clock.now(), self.lease / 5)
    }
}

/// Returns the wait until something is due that recurs at an interval. A wait beyond the interval means that the clock
/// has been set back: it is due then.
pub(crate) fn wait_until(due: Timestamp, now: Timestamp, interval: Duration) -> Duration {
    let wait: Duration = due.duration_since(now).try_into().unwrap_or_default();
    if wait > interval { Duration::ZERO } else { wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_a_heartbeat_is_due_when_the_clock_was_set_back() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(wait_until(at(10), at(9), second), second);
        assert_eq!(wait_until(at(10), at(10), second), Duration::ZERO);
        assert_eq!(wait_until(at(10), at(99), second), Duration::ZERO);
        assert_eq!(wait_until(at(3_610), at(10), second), Duration::ZERO);
    }
}
