//! One projection in one worker: which shards it works on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use highwater_core::{
    Error, Result,
    domain::ViewName,
    error::{Invalid, Source as Reason},
    port::{Assignment, ClaimMode, FeedSource, Membership},
    value::{ShardId, Sharding},
};
use tokio::{
    sync::watch,
    task::{AbortHandle, Id, JoinError, JoinSet},
};

use super::{
    ProjectionOptions, ShardContext, World,
    shard::{ShardWork, is_fenced, may_pass},
    status::Reporter,
};
use crate::{job::Job, metrics::Meter};

/// A projection that is run in this worker.
pub(super) struct Projecting {
    pub(super) view: ViewName,
    pub(super) job: Arc<dyn Job>,
    pub(super) options: ProjectionOptions,
    pub(super) world: World,
    pub(super) reporter: Reporter,
    pub(super) meter: Meter,
}

impl Projecting {
    /// Runs it until it is told to stop, or somebody must look. What may pass is tried for ever.
    pub(super) async fn run(self, source: Arc<dyn FeedSource>, mut stop: Stop) -> Result<()> {
        let outcome = self.keep_on(&*source, &mut stop).await;
        match &outcome {
            Ok(()) => self.reporter.ended(),
            Err(error) => {
                tracing::error!(view = %self.view, %error, code = %error.code(), "stopped");
                self.reporter.stopped(error);
            }
        }
        outcome
    }

    async fn keep_on(&self, source: &dyn FeedSource, stop: &mut Stop) -> Result<()> {
        let backoff = self.options.backoff;
        let mut waits = backoff.waits();
        loop {
            let began = self.world.clock.now();
            let outcome = self.work(source, stop).await;
            let Err(error) = outcome else { return Ok(()) };
            if !may_pass(&error, &self.view) {
                return Err(error);
            }
            // What has gone well for a while begins with short waits again, however long it has run.
            let worked = self.world.clock.now().duration_since(began);
            if Duration::try_from(worked).is_ok_and(|worked| worked > backoff.longest) {
                waits = backoff.waits();
            }
            tracing::warn!(view = %self.view, %error, "it may pass; trying again");
            self.reporter.retrying(&error);
            let wait = waits.next().unwrap_or(backoff.longest);
            tokio::select! {
                () = self.world.clock.sleep(wait) => {}
                () = stop.wait() => return Ok(()),
            }
        }
    }

    async fn work(&self, source: &dyn FeedSource, stop: &mut Stop) -> Result<()> {
        let prepared = async {
            let layout = self.prepare(source).await?;
            Ok::<_, Error>((layout, source.join(self.feeding(layout)?).await?))
        };
        let (layout, mut membership) = tokio::select! {
            prepared = prepared => prepared?,
            () = stop.wait() => return Ok(()),
        };
        self.reporter.running();
        self.meter.divided(layout.shards);
        let mut shards = Shards::default();
        let outcome = loop {
            tokio::select! {
                () = stop.wait() => break Ok(()),
                change = membership.next_assignment() => {
                    if let Err(error) = self.change(change, layout, &mut *membership, &mut shards).await {
                        break Err(error);
                    }
                }
                (context, outcome) = shards.ended() => {
                    let ended = after(&context, outcome, &mut *membership).await;
                    if ended.is_err() {
                        break ended;
                    }
                    // What was in the way of the last shard is another worker's now.
                    if shards.is_empty() {
                        self.reporter.running();
                    }
                }
            }
        };
        shards.abort().await;
        let left = membership.leave().await;
        outcome.and(left)
    }

    async fn change(
        &self,
        change: Result<Assignment>,
        layout: Sharding,
        membership: &mut dyn Membership,
        shards: &mut Shards,
    ) -> Result<()> {
        match change? {
            Assignment::Revoked(shard) if shards.is_working_on(shard) => {
                shards.end(shard);
                Ok(())
            }
            Assignment::Revoked(shard) => membership.released(shard).await,
            Assignment::Assigned(shard, claiming) => {
                self.begin(shard, claiming, layout, membership, shards).await
            }
        }
    }

    async fn begin(
        &self,
        shard: ShardId,
        claiming: ClaimMode,
        layout: Sharding,
        membership: &mut dyn Membership,
        shards: &mut Shards,
    ) -> Result<()> {
        let context = self.context(layout, shard);
        let Some(work) = ShardWork::claim(&self.job, context, claiming).await? else {
            return membership.released(shard).await;
        };
        let feed = membership.open(shard, &work.claim.progress).await?;
        tracing::info!(view = %self.view, %shard, from = %work.claim.progress.position, "working");
        shards.begin(work.context.clone(), work.run(feed));
        Ok(())
    }
}

/// The work on a shard has ended: it was to be given up, another worker has it, or somebody must look.
async fn after(
    context: &ShardContext,
    outcome: Result<()>,
    membership: &mut dyn Membership,
) -> Result<()> {
    match outcome {
        Err(error) if !is_fenced(&error) => return Err(error),
        Err(_) => {
            tracing::info!(view = %context.view, shard = %context.share.shard, "taken over");
            context.meter.fenced.increment(1);
        }
        Ok(()) => context.release().await?,
    }
    membership.released(context.share.shard).await
}

/// The shards that are worked on, a task each.
#[derive(Default)]
struct Shards {
    tasks: JoinSet<Result<()>>,
    by_shard: HashMap<ShardId, AbortHandle>,
    by_task: HashMap<Id, ShardContext>,
}

impl Shards {
    fn begin(
        &mut self,
        context: ShardContext,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        let (handle, shard) = (self.tasks.spawn(work), context.share.shard);
        self.by_task.insert(handle.id(), context);
        if let Some(earlier) = self.by_shard.insert(shard, handle) {
            earlier.abort();
        }
    }

    fn is_empty(&self) -> bool {
        self.by_shard.is_empty()
    }

    fn is_working_on(&self, shard: ShardId) -> bool {
        self.by_shard.contains_key(&shard)
    }

    /// Ends the work on a shard; [`Shards::ended`] tells when it has.
    fn end(&self, shard: ShardId) {
        if let Some(handle) = self.by_shard.get(&shard) {
            handle.abort();
        }
    }

    /// The next shard whose work has ended, and how; waits for one. Safe to cancel.
    async fn ended(&mut self) -> (ShardContext, Result<()>) {
        loop {
            let Some(joined) = self.tasks.join_next_with_id().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let (task, outcome) = match joined {
                Ok((task, outcome)) => (task, outcome),
                Err(error) => (error.id(), aborted(error)),
            };
            let Some(context) = self.by_task.remove(&task) else { continue };
            let shard = context.share.shard;
            if self.by_shard.get(&shard).is_some_and(|handle| handle.id() == task) {
                self.by_shard.remove(&shard);
                return (context, outcome);
            }
        }
    }

    async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }
}

fn aborted(error: JoinError) -> Result<()> {
    if error.is_cancelled() {
        return Ok(());
    }
    let message = format!("a projection panicked: {error}");
    Err(Invalid::request(message).caused_by(Reason::new(error)).into())
}

/// Tells that it is time to stop.
#[derive(Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns when it is time, or nobody is left who could say so.
    pub(super) async fn wait(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
