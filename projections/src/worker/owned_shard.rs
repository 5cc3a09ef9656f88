//! A claimed shard: events are applied and committed in one transaction (R1).

use std::{sync::Arc, time::Instant};

use highwater_core::{
    Envelope, Error, Result,
    error::Conflict,
    port::{Claim, ClaimMode, Progress, ViewCommit},
};
use tracing::field;

use super::context::ClaimContext;
use crate::{
    metrics::ShardMetrics,
    projection::{Apply, ApplyError, Job, ShardChanges, ShardParking, batch_place},
    trace::Traces,
};

/// A shard that this worker has claimed, with its state in memory.
pub(super) struct OwnedShard {
    pub(super) context: ClaimContext,
    pub(super) claim: Claim,
    pub(super) apply: Box<dyn Apply>,
    pub(super) parking: ShardParking,
    pub(super) metrics: ShardMetrics,
    job: Arc<dyn Job>,
    mode: ClaimMode,
}

impl OwnedShard {
    /// Claims the shard; `None` if another worker has it.
    pub(super) async fn claim(
        job: &Arc<dyn Job>,
        context: ClaimContext,
        mode: ClaimMode,
    ) -> Result<Option<Self>> {
        let Some(claim) = context.claim(mode).await? else { return Ok(None) };
        let job = Arc::clone(job);
        let apply = job.shard(&context);
        let parking = ShardParking::load(&context).await?;
        let metrics = context.metrics.hold(claim.shard, &claim.progress);
        metrics.parked(parking.len());
        Ok(Some(Self { context, claim, apply, parking, metrics, job, mode }))
    }

    /// Claims the shard again, with its committed progress, and drops its state in memory.
    pub(super) async fn claim_again(&mut self) -> Result<()> {
        let Some(claim) = self.context.claim(self.mode).await? else {
            let view = self.context.view.to_string();
            let epoch = self.claim.epoch;
            return Err(
                Conflict::Fenced { view, shard: self.claim.shard, epoch, actual: epoch }.into()
            );
        };
        self.parking = ShardParking::load(&self.context).await?;
        self.apply = self.job.shard(&self.context);
        self.claim = claim;
        Ok(())
    }

    /// Applies events and commits the progress in one transaction.
    pub(super) async fn apply_once(
        &mut self,
        events: &[Envelope],
        to: Progress,
    ) -> Result<(), ApplyError> {
        self.parking.unstage();
        let _traces = self.traces(events);
        let changes = match self.parking.skips_all(events) {
            true => ShardChanges::default(),
            false => self.apply.apply(events, &mut self.parking).await?,
        };
        self.commit(changes, to).await.map_err(|error| self.name_hook(error, events))?;
        self.metrics.applied(events.len());
        Ok(())
    }

    /// Names the view and the events of a transaction hook that panicked: the store knows neither.
    pub(super) fn name_hook(&self, error: Error, events: &[Envelope]) -> Error {
        match error {
            Error::Panicked(panicked) => {
                let place = format!("of {} {}", self.context.view, batch_place(events));
                panicked.in_place(&place).into()
            }
            error => error,
        }
    }

    /// Shows the work on the events in the traces of their commands.
    fn traces(&self, events: &[Envelope]) -> Traces {
        let view = &self.context.view;
        let shard = self.claim.shard;
        Traces::of(events, |event| {
            let position = event.position;
            let trace_id = field::Empty;
            tracing::info_span!(parent: None, "commit", %view, %shard, %position, trace_id)
        })
    }

    pub(super) async fn commit(&mut self, changes: ShardChanges, to: Progress) -> Result<()> {
        let mut commit = ViewCommit::new(self.context.view.clone(), &self.claim, to.clone());
        commit.rows = changes.rows;
        commit.hook = changes.hook;
        commit.parked = self.parking.staged();
        let started = Instant::now();
        let committed = self.context.views.commit_view(commit).await;
        self.metrics.commit_took(started.elapsed());
        committed?;
        self.metrics.advanced(&to);
        self.metrics.parked(self.parking.len());
        self.parking.on_committed(to.position);
        self.claim.progress = to;
        if changes.notify {
            self.apply.on_committed();
        }
        Ok(())
    }

    /// Returns the maximum number of events in one transaction if `requested` is configured.
    pub(super) fn batch_size(&self, requested: usize) -> usize {
        self.job.batch_size(requested)
    }
}
