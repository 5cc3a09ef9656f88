//! One projection in one worker: joins the other workers of the view, and starts and ends the work on
//! shards.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt as _, future::pending};
use highwater_core::{
    Error, Position, Result,
    domain::{DefinitionHash, ViewName, ViewSpec},
    error::Panicked,
    port::{Assignment, ClaimMode, FeedSource, Membership, Subscription, ViewState},
    value::{ShardId, Sharding},
};
use tokio::task::JoinSet;

use super::{
    audit::{AuditRecord, HeldShards, ShardAuditor},
    context::{ClaimContext, WorkerContext},
    definition::DefinitionCheck,
    failure::{is_fenced, is_transient},
    generation::{Built, BuiltGeneration, COMPLETION_INTERVAL, promotion_delays},
    reporter::ProjectionReporter,
    reshard::Resharding,
    shard::ShardTask,
    shard_tasks::ShardTasks,
    shutdown::ShutdownSignal,
};
use crate::{
    metrics::{MEASURE_INTERVAL, MeasuredLag, ProjectionMetrics},
    options::ProjectionOptions,
    projection::{Job, ShardContext, ShardScope},
};

/// Runs one projection in this worker.
pub(super) struct ProjectionTask {
    /// The name under which the generation of the view is stored.
    pub(super) view: ViewName,
    pub(super) spec: ViewSpec,
    /// The hash of the stored definition, which each claim names.
    pub(super) compared: Mutex<Option<DefinitionHash>>,
    /// The reason for which the view could not be opened.
    pub(super) refused: Option<Error>,
    pub(super) job: Arc<dyn Job>,
    pub(super) options: ProjectionOptions,
    pub(super) context: WorkerContext,
    pub(super) reporter: ProjectionReporter,
    pub(super) metrics: ProjectionMetrics,
    pub(super) record: AuditRecord,
}

impl ProjectionTask {
    /// Runs until shutdown or a permanent error; transient errors are retried for ever.
    pub(super) async fn run(
        self,
        source: Arc<dyn FeedSource>,
        mut shutdown: ShutdownSignal,
    ) -> Result<()> {
        let run = self.run_with_retries(&*source, &mut shutdown);
        let outcome =
            Panicked::guard_async(|| format!("the task of view {}", self.view), run).await;
        let outcome = outcome.map_err(Error::from).flatten();
        match &outcome {
            Ok(()) => self.reporter.ended(),
            Err(error) => {
                tracing::error!(view = %self.view, %error, code = %error.code(), "stopped");
                self.reporter.stopped(error);
                self.measure_until(&mut shutdown).await;
            }
        }
        outcome
    }

    /// Measures how far the shards are behind, until shutdown. This worker has stopped, so their progress is that of the
    /// store: other workers may move them.
    async fn measure_until(&self, shutdown: &mut ShutdownSignal) {
        let measuring = async {
            let mut measured = Vec::new();
            loop {
                match self.context.views.read_view(&self.view, &[]).await {
                    Ok(stored) => drop(mem::replace(&mut measured, self.lags_of(&stored.state))),
                    Err(error) => {
                        tracing::debug!(view = %self.view, %error, "the progress of a stopped view is unknown");
                    }
                }
                // Not the clock of the port: no decision depends on the times of measurements.
                tokio::time::sleep(MEASURE_INTERVAL).await;
            }
        };
        tokio::select! {
            () = measuring => {}
            () = shutdown.wait() => {}
        }
    }

    /// Returns the lags of all shards, from their stored progress.
    fn lags_of(&self, state: &ViewState) -> Vec<MeasuredLag> {
        let shards = (0..).map(ShardId::new).zip(&state.shards);
        let lag = |(shard, progress)| {
            let lag = self.metrics.lag(shard);
            lag.advanced(progress);
            lag
        };
        shards.map(lag).collect()
    }

    async fn run_with_retries(
        &self,
        source: &dyn FeedSource,
        shutdown: &mut ShutdownSignal,
    ) -> Result<()> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        let backoff = self.options.backoff;
        let clock = &self.context.clock;
        let mut waits = backoff.waits();
        loop {
            let started = clock.now();
            let Err(error) = self.run_once(source, shutdown).await else { return Ok(()) };
            if !is_transient(&error, &self.view) {
                return Err(error);
            }
            // After a while without errors the waits start short again.
            let ran = clock.now().duration_since(started);
            if Duration::try_from(ran).is_ok_and(|ran| ran > backoff.max_delay) {
                waits = backoff.waits();
            }
            tracing::warn!(view = %self.view, %error, "transient error; trying again");
            self.reporter.retrying(&error);
            tokio::select! {
                () = clock.sleep(waits.next().unwrap_or(backoff.max_delay)) => {}
                () = shutdown.wait() => return Ok(()),
            }
        }
    }

    /// Joins the workers of the view and works until shutdown or an error.
    async fn run_once(&self, source: &dyn FeedSource, shutdown: &mut ShutdownSignal) -> Result<()> {
        let joined = async {
            self.ensure_definition().await?;
            let state = self.built().look().await?;
            let (sharding, membership) = self.join(source).await?;
            Ok::<_, Error>((sharding, state, membership))
        };
        let (sharding, state, mut membership) = tokio::select! {
            joined = joined => joined?,
            () = shutdown.wait() => return Ok(()),
        };
        match state {
            Built::Partly => self.reporter.rebuilding(self.spec.generation.complete_at),
            Built::Complete | Built::Done => self.reporter.running(),
        }
        self.metrics.sharded(sharding.shards);
        let held = HeldShards::new(self.record.clone());
        let auditor = self.spawn_auditor(sharding, &held);
        let mut shards = ShardTasks::new(held);
        let mut is_member = true;
        let mut completion = self.complete().boxed();
        let outcome = loop {
            let step = tokio::select! {
                () = shutdown.wait() => break Ok(()),
                assignment = membership.next_assignment() => {
                    is_member = assignment.is_ok();
                    self.assign(assignment, sharding, &mut *membership, &mut shards).await
                }
                (context, outcome) = shards.next_ended() => {
                    release(&context, outcome, &mut *membership).await
                }
                () = &mut completion => {
                    completion = pending().boxed();
                    Ok(())
                }
            };
            if step.is_err() {
                break step;
            }
        };
        // It is aborted, and not waited for: it holds nothing.
        drop(auditor);
        shards.shutdown().await;
        let left = membership.leave().await;
        if let (Err(error), false) = (&outcome, is_member) {
            self.stop_free_shards(error).await;
        }
        outcome.and(left)
    }

    /// Compares the rows of the shards beside them, in a task of its own, if that is configured.
    fn spawn_auditor(&self, sharding: Sharding, held: &HeldShards) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let Some((fold, window)) = self.job.fresh_rows().zip(self.options.audit_window) else {
            return tasks;
        };
        let auditor = ShardAuditor {
            view: self.view.clone(),
            keyed: self.job.keyed(),
            fold,
            context: self.context.clone(),
            sharding,
            definition: *self.compared(),
            on_drift: self.options.on_drift,
            held: held.clone(),
            record: self.record.clone(),
        };
        let view = self.view.clone();
        tasks.spawn(async move {
            let place = || format!("the auditor of view {view}");
            if let Err(error) = Panicked::guard_async(place, auditor.run(window)).await {
                tracing::error!(%view, %error, "the view is not audited any more");
            }
        });
        tasks
    }

    async fn join(&self, source: &dyn FeedSource) -> Result<(Sharding, Box<dyn Membership>)> {
        let joining = async {
            let sharding = Resharding(self).ensure_sharding(source).await?;
            let membership = source.join(self.subscription(sharding)?).await?;
            Ok((sharding, membership))
        };
        let joined = joining.await;
        if let Err(error) = &joined {
            self.stop_free_shards(error).await;
        }
        joined
    }

    /// Waits until a new generation is complete, and promotes it.
    async fn complete(&self) {
        let mut delays = promotion_delays();
        loop {
            let mut delay = COMPLETION_INTERVAL;
            match self.built().look().await {
                Ok(Built::Partly) => {}
                Ok(Built::Done) => return self.reporter.completed(),
                Ok(Built::Complete) => {
                    self.reporter.completed();
                    match self.built().promote().await {
                        Ok(true) => return,
                        Ok(false) => {}
                        Err(error) => {
                            delay = delays.next().unwrap_or(delay);
                            tracing::warn!(view = %self.view, %error, "can't promote now; trying again");
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(view = %self.view, %error, "can't look at the generation");
                }
            }
            self.context.clock.sleep(delay).await;
        }
    }

    fn built(&self) -> BuiltGeneration<'_> {
        let ViewSpec { name: view, generation, .. } = &self.spec;
        BuiltGeneration { views: &*self.context.views, view, number: generation.number }
    }

    async fn ensure_definition(&self) -> Result<()> {
        let Some(own) = &self.spec.definition else { return Ok(()) };
        let check = DefinitionCheck {
            view: &self.view,
            own,
            query: self.job.query()?,
            is_starting: false,
            context: &self.context,
        };
        *self.compared() = check.ensure().await?;
        Ok(())
    }

    fn compared(&self) -> MutexGuard<'_, Option<DefinitionHash>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn assign(
        &self,
        assignment: Result<Assignment>,
        sharding: Sharding,
        membership: &mut dyn Membership,
        shards: &mut ShardTasks,
    ) -> Result<()> {
        match assignment? {
            Assignment::Revoked(shard) if shards.contains(shard) => {
                shards.abort(shard);
                Ok(())
            }
            Assignment::Revoked(shard) => membership.released(shard).await,
            Assignment::Assigned(shard, mode) => {
                self.start_shard(shard, mode, sharding, membership, shards).await
            }
        }
    }

    async fn start_shard(
        &self,
        shard: ShardId,
        mode: ClaimMode,
        sharding: Sharding,
        membership: &mut dyn Membership,
        shards: &mut ShardTasks,
    ) -> Result<()> {
        let context = self.claim_context(sharding, shard);
        let started = self.claim_and_start(&context, mode, membership, shards).await;
        if let Err(error) = &started {
            context.record_stop(error).await;
        }
        started
    }

    async fn claim_and_start(
        &self,
        context: &ClaimContext,
        mode: ClaimMode,
        membership: &mut dyn Membership,
        shards: &mut ShardTasks,
    ) -> Result<()> {
        let shard = context.scope.shard;
        let Some(task) = ShardTask::claim(&self.job, context.clone(), mode).await? else {
            return membership.released(shard).await;
        };
        let progress = &task.shard.claim.progress;
        let feed = membership.open(shard, progress).await?;
        tracing::info!(view = %self.view, %shard, from = %progress.position, "working");
        let hold = shards.held.hold(shard, progress.position > Position::START);
        shards.spawn(task.shard.context.clone(), task.run(feed, hold));
        Ok(())
    }

    pub(super) fn claim_context(&self, sharding: Sharding, shard: ShardId) -> ClaimContext {
        let context = ShardContext {
            view: self.view.clone(),
            log: Arc::clone(&self.context.log),
            views: Arc::clone(&self.context.views),
            scope: ShardScope { sharding, shard, keyed: self.job.keyed() },
            options: self.options,
            metrics: self.metrics.clone(),
        };
        ClaimContext {
            shard: context,
            worker: self.context.clone(),
            reporter: self.reporter.shard(shard),
            definition: *self.compared(),
            epoch: Arc::default(),
        }
    }

    pub(super) fn subscription(&self, sharding: Sharding) -> Result<Subscription> {
        let view = self.view.clone();
        let worker = self.context.worker.clone();
        Ok(Subscription { view, query: self.job.query()?, worker, sharding })
    }
}

/// Releases a shard whose work has ended: it was revoked, or another worker owns it. Returns any other
/// error, which is recorded with the shard if an operator must look at it.
async fn release(
    context: &ClaimContext,
    outcome: Result<()>,
    membership: &mut dyn Membership,
) -> Result<()> {
    context.reporter.running();
    match outcome {
        Err(error) if !is_fenced(&error) => {
            context.record_stop(&error).await;
            return Err(error);
        }
        Err(_) => {
            tracing::info!(view = %context.view, shard = %context.scope.shard, "taken over");
            context.metrics.fenced.increment(1);
        }
        Ok(()) => context.release().await?,
    }
    membership.released(context.scope.shard).await
}
