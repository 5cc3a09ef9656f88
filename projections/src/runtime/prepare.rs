//! Before the work begins: the layout, the first position.

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Position, Result,
    domain::ViewSpec,
    port::{Claim, ClaimMode, FeedPage, FeedSource, Subscription, ViewState},
    value::{ShardId, Sharding},
};

use super::{ShardContext, Share, World, running::Projecting, shard::ShardWork};
use crate::{direct::LogFeed, job::Job};

/// How long to wait before asking again whether the workers of another layout have let go.
const PATIENCE: Duration = Duration::from_millis(500);

impl Projecting {
    /// Divides the view anew if it is divided otherwise, and gives its layout. It was opened when the
    /// worker was started. If it isn't there any more it has been renamed by a newer program, and is not
    /// to be made anew under its former name.
    pub(super) async fn prepare(&self, source: &dyn FeedSource) -> Result<Sharding> {
        let (by, shards) = self.job.division(self.options.shards);
        let wanted = source.sharding(by, shards).await?;
        loop {
            let state = self.world.views.read_view(&self.view, &[]).await?.state;
            if state.sharding == wanted {
                return Ok(wanted);
            }
            if !self.divide(&state, wanted).await? {
                self.world.clock.sleep(PATIENCE).await;
            }
        }
    }

    /// Brings every shard of the old layout to one position, from the store, and divides anew there, so
    /// that nothing is left out and nothing comes twice. `false` if another worker still works in the
    /// old layout.
    async fn divide(&self, state: &ViewState, wanted: Sharding) -> Result<bool> {
        tracing::info!(view = %self.view, from = %state.sharding, to = %wanted, "dividing anew");
        let Some(mut works) = self.claim_all(state.sharding).await? else { return Ok(false) };
        let target = works.iter().map(|work| work.claim.progress.position).max();
        for work in &mut works {
            self.catch_up(work, target.unwrap_or_default()).await?;
        }
        let claims: Vec<Claim> = works.into_iter().map(|work| work.claim).collect();
        self.world.views.reshard(&self.view, &claims, wanted).await?;
        Ok(true)
    }

    async fn claim_all(&self, layout: Sharding) -> Result<Option<Vec<ShardWork>>> {
        let mut works: Vec<ShardWork> = Vec::new();
        for shard in layout.all() {
            let context = self.context(layout, shard);
            let Some(work) = ShardWork::claim(&self.job, context, ClaimMode::IfFree).await? else {
                for ShardWork { context, .. } in works {
                    context.release().await?;
                }
                return Ok(None);
            };
            works.push(work);
        }
        Ok(Some(works))
    }

    async fn catch_up(&self, work: &mut ShardWork, target: Position) -> Result<()> {
        let feeding = self.feeding(work.context.share.layout)?;
        let (shard, after) = (work.claim.shard, work.claim.progress.position);
        let mut feed = LogFeed::new(&self.world.log, &feeding, shard, after);
        while work.claim.progress.position < target {
            let page = feed.poll(work.batch(self.options.batch)).await?;
            let page = page.unwrap_or_else(|| LogFeed::empty_page(target));
            self.alive_meanwhile(work.take(&cut(page, target))).await?;
        }
        Ok(())
    }

    /// Gives signs of life while something is done: others must not take what is being caught up.
    async fn alive_meanwhile(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        let World { views, worker, lease, clock, .. } = &self.world;
        let mut work = std::pin::pin!(work);
        loop {
            views.heartbeat(&self.view, worker, *lease).await?;
            tokio::select! {
                done = &mut work => return done,
                () = clock.sleep(*lease / 5) => {}
            }
        }
    }

    pub(super) fn context(&self, layout: Sharding, shard: ShardId) -> ShardContext {
        ShardContext {
            view: self.view.clone(),
            world: self.world.clone(),
            options: self.options,
            share: Share { layout, shard, keyed: self.job.keyed() },
            reporter: self.reporter.clone(),
            meter: self.meter.clone(),
            epoch: Arc::default(),
        }
    }

    pub(super) fn feeding(&self, layout: Sharding) -> Result<Subscription> {
        let (view, worker) = (self.view.clone(), self.world.worker.clone());
        Ok(Subscription { view, query: self.job.query()?, worker, sharding: layout })
    }
}

/// A page up to a position. As of when the view is, says the last event that is left.
fn cut(mut page: FeedPage, at: Position) -> FeedPage {
    if page.through > at {
        page.events.retain(|event| event.position <= at);
        page.through = at;
        page.as_of = page.events.last().map(|event| event.recorded_at);
    }
    page
}

/// What is to be opened, with where it begins if it is new.
pub(super) async fn beginning(job: &dyn Job, world: &World) -> Result<ViewSpec> {
    let mut spec = job.spec()?;
    if job.begins_at_the_head() {
        spec.start_after = world.log.head().await?;
    }
    Ok(spec)
}
