//! Changes the sharding of a view before the work begins.

use std::{collections::BTreeSet, time::Duration};

use highwater_core::{
    Position, Result,
    port::{Claim, ClaimMode, FeedPage, FeedSource, ViewState, WorkerId},
    value::Sharding,
};

use super::{context::WorkerContext, shard::ShardTask, task::ProjectionTask};
use crate::{direct::LogFeed, heartbeat::Heartbeat};

/// The interval at which to check whether the workers of the old sharding have released their shards.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Brings a projection's view to the sharding that its source and options ask for.
pub(super) struct Resharding<'a>(pub(super) &'a ProjectionTask);

impl Resharding<'_> {
    /// Reshards the view if its sharding differs, and returns its sharding. The view was opened when the
    /// worker was started: if it is missing, a newer program has renamed it, and it must not be created
    /// again under its former name.
    pub(super) async fn ensure_sharding(&self, source: &dyn FeedSource) -> Result<Sharding> {
        let (by, shards) = self.0.job.sharding(self.0.options.shards);
        let wanted = source.sharding(by, shards).await?;
        let mut awaited = BTreeSet::new();
        loop {
            let state = self.0.context.views.read_view(&self.0.view, &[]).await?.state;
            if state.sharding == wanted || self.reshard(&state, wanted).await? {
                return Ok(wanted);
            }
            let holders = self.holders().await?;
            if !holders.is_empty() && holders != awaited {
                self.log_wait(&state, wanted, &holders);
                awaited = holders;
            }
            tracing::debug!(view = %self.0.view, "still waiting to reshard");
            self.0.context.clock.sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the other workers that hold shards. A heartbeat without a lease asks, and makes this worker no member.
    async fn holders(&self) -> Result<BTreeSet<WorkerId>> {
        let WorkerContext { views, worker, .. } = &self.0.context;
        let members = views.heartbeat(&self.0.view, worker, Duration::ZERO).await?;
        let holders = members.holders.into_iter().flatten();
        Ok(holders.filter(|holder| holder != worker).collect())
    }

    fn log_wait(&self, state: &ViewState, wanted: Sharding, holders: &BTreeSet<WorkerId>) {
        let workers: Vec<_> = holders.iter().map(WorkerId::as_str).collect();
        tracing::info!(
            view = %self.0.view,
            from = %state.sharding,
            to = %wanted,
            workers = workers.join(", "),
            "waiting to reshard until these workers release their shards: stop them, or give all workers of the view the \
             same number of shards"
        );
    }

    /// Brings every shard of the old sharding to one position, from the store, and reshards there, so that
    /// no event is lost and none is repeated. Returns `false` if another worker still owns a shard.
    async fn reshard(&self, state: &ViewState, wanted: Sharding) -> Result<bool> {
        let Some(mut tasks) = self.claim_all(state.sharding).await? else { return Ok(false) };
        tracing::info!(view = %self.0.view, from = %state.sharding, to = %wanted, "resharding");
        let target = tasks.iter().map(|task| task.shard.claim.progress.position).max();
        for task in &mut tasks {
            if let Err(error) = self.catch_up(task, target.unwrap_or_default()).await {
                task.shard.context.record_stop(&error).await;
                return Err(error);
            }
        }
        let claims: Vec<Claim> = tasks.into_iter().map(|task| task.shard.claim).collect();
        self.0.context.views.reshard(&self.0.view, &claims, wanted).await?;
        Ok(true)
    }

    async fn claim_all(&self, sharding: Sharding) -> Result<Option<Vec<ShardTask>>> {
        let mut tasks: Vec<ShardTask> = Vec::new();
        for shard in sharding.all() {
            let context = self.0.claim_context(sharding, shard);
            let Some(task) = ShardTask::claim(&self.0.job, context, ClaimMode::IfFree).await?
            else {
                for task in tasks {
                    task.shard.context.release().await?;
                }
                return Ok(None);
            };
            tasks.push(task);
        }
        Ok(Some(tasks))
    }

    /// Applies the events up to the target. Heartbeats keep other workers from taking the shards meanwhile.
    async fn catch_up(&self, task: &mut ShardTask, target: Position) -> Result<()> {
        let context = &self.0.context;
        let subscription = self.0.subscription(task.shard.context.scope.sharding)?;
        let claim = &task.shard.claim;
        let after = claim.progress.position;
        let mut feed = LogFeed::new(&context.log, &subscription, claim.shard, after);
        let mut heartbeat = Heartbeat::new(
            &context.views,
            &context.clock,
            &self.0.view,
            &context.worker,
            context.lease,
        );
        while task.shard.claim.progress.position < target {
            let page = feed.poll(task.shard.batch_size(self.0.options.batch)).await?;
            let page = page.unwrap_or_else(|| LogFeed::empty_page(target));
            heartbeat.during(task.process_page(&truncate(page, target))).await?;
        }
        Ok(())
    }
}

/// Truncates a page at a position. The last event that is left determines as of when the view is.
fn truncate(mut page: FeedPage, at: Position) -> FeedPage {
    if page.through > at {
        page.events.retain(|event| event.position <= at);
        page.through = at;
        page.as_of = page.events.last().map(|event| event.recorded_at);
    }
    page
}
