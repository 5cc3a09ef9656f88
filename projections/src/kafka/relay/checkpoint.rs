//! Commits the progress of what is acknowledged, in order.

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

use super::{producer::PendingAcks, settings::RelaySettings, status::RelayReporter};
use crate::{metrics::Leading, trace::Traces};

/// Records that were sent together.
pub(super) struct SentBatch {
    /// The progress of the relay once they are acknowledged.
    pub(super) progress: Progress,
    pub(super) acks: Arc<PendingAcks>,
    /// The spans of the events, which end when the batch is acknowledged.
    pub(super) traces: Traces,
}

/// The limit of batches that wait for acknowledgement.
pub(super) const MAX_BATCHES_IN_FLIGHT: usize = 64;

/// The interval of checkpoint commits. One that is a little behind costs some repeats after a
/// failure; one for each append would cost a transaction each.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// The part of a leader that commits.
pub(super) struct CheckpointCommitter<'a> {
    pub(super) settings: &'a RelaySettings,
    pub(super) view: &'a ViewName,
    pub(super) reporter: &'a RelayReporter,
    pub(super) claim: Claim,
    pub(super) leading: &'a Leading,
}

impl CheckpointCommitter<'_> {
    /// Commits until the channel of batches is closed, or an error.
    pub(super) async fn run(&mut self, mut batches: mpsc::Receiver<SentBatch>) -> Result<()> {
        let mut in_flight = None;
        let mut acknowledged = None;
        let mut due = Instant::now();
        loop {
            let next = next_acknowledged(&mut in_flight, &mut batches);
            let wait = due.saturating_duration_since(Instant::now());
            let next = match acknowledged.is_some() {
                true => match select(pin!(next), self.settings.clock.sleep(wait)).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => {
                        self.commit(acknowledged.take()).await?;
                        due = Instant::now() + COMMIT_INTERVAL;
                        continue;
                    }
                },
                false => next.await,
            };
            match next {
                Some(progress) => acknowledged = Some(progress),
                None => return self.commit(acknowledged).await,
            }
        }
    }

    async fn commit(&mut self, progress: Option<Progress>) -> Result<()> {
        let Some(progress) = progress else { return Ok(()) };
        self.leading.set_published(&progress);
        // Marks alone show that the broker is reachable, and don't move the position.
        if progress.position > self.claim.progress.position {
            let commit = ViewCommit::new(self.view.clone(), &self.claim, progress.clone());
            self.settings.views.commit_view(commit).await?;
            self.claim.progress = progress;
        }
        self.reporter.leading(self.claim.progress.position);
        Ok(())
    }
}

/// Waits for the next batch to be acknowledged; `None` if the channel is closed. Safe to cancel.
async fn next_acknowledged(
    in_flight: &mut Option<SentBatch>,
    batches: &mut mpsc::Receiver<SentBatch>,
) -> Option<Progress> {
    if in_flight.is_none() {
        *in_flight = batches.recv().await;
    }
    in_flight.as_ref()?.acks.all_acknowledged().await;
    in_flight.take().map(|SentBatch { progress, traces, .. }| {
        drop(traces);
        progress
    })
}
