//! Moves the progress over what is acknowledged, in order.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};
use highwater_core::{
    Result,
    domain::ViewName,
    port::{Claim, Progress, ViewCommit},
};
use tokio::sync::mpsc;

use super::{Relay, producer::Acknowledged};
use crate::{metrics::Leading, trace::Traces};

/// Records that were sent together.
pub(super) struct Batch {
    /// Where the relay is when they are acknowledged.
    pub(super) to: Progress,
    pub(super) acknowledged: Arc<Acknowledged>,
    /// They end when it is.
    pub(super) traces: Traces,
}

/// How many batches may be under way.
pub(super) const UNDER_WAY: usize = 64;

/// A checkpoint that is a little behind costs some repeats after a failure. One for each append would
/// cost a transaction each.
const INTERVAL: Duration = Duration::from_millis(100);

/// The part of a leader that commits.
pub(super) struct Checkpoint<'a> {
    pub(super) relay: &'a Relay,
    pub(super) view: &'a ViewName,
    pub(super) claim: Claim,
    pub(super) leading: &'a Leading,
}

impl Checkpoint<'_> {
    /// Commits until there are no more batches, or an error.
    pub(super) async fn run(&mut self, mut batches: mpsc::Receiver<Batch>) -> Result<()> {
        let (mut under_way, mut acknowledged) = (None, None);
        let mut due = Instant::now();
        loop {
            let next = next(&mut under_way, &mut batches);
            let wait = due.saturating_duration_since(Instant::now());
            let next = match acknowledged.is_some() {
                true => match select(pin!(next), self.relay.clock.sleep(wait)).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => {
                        self.commit(acknowledged.take()).await?;
                        due = Instant::now() + INTERVAL;
                        continue;
                    }
                },
                false => next.await,
            };
            match next {
                Some(to) => acknowledged = Some(to),
                None => return self.commit(acknowledged).await,
            }
        }
    }

    async fn commit(&mut self, to: Option<Progress>) -> Result<()> {
        let Some(to) = to else { return Ok(()) };
        self.leading.has_published(&to);
        // Marks alone say that the broker is there, and move nothing.
        if to.position > self.claim.progress.position {
            let commit = ViewCommit::new(self.view.clone(), &self.claim, to.clone());
            self.relay.views.commit_view(commit).await?;
            self.claim.progress = to;
        }
        self.relay.reporter.leading(self.claim.progress.position);
        Ok(())
    }
}

/// The next batch that is acknowledged; `None` if there are no more. Safe to cancel.
async fn next(
    under_way: &mut Option<Batch>,
    batches: &mut mpsc::Receiver<Batch>,
) -> Option<Progress> {
    if under_way.is_none() {
        *under_way = batches.recv().await;
    }
    under_way.as_ref()?.acknowledged.whole().await;
    under_way.take().map(|Batch { to, traces, .. }| {
        drop(traces);
        to
    })
}
