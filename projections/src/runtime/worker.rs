//! What runs together in one process: its start and its end.

use std::{collections::HashSet, sync::Arc};

use highwater_core::{
    Code, Highwater, Result,
    domain::{View, ViewName},
    error::Invalid,
    port::{FeedSource, WorkerId},
    value::Sharding,
};
use tokio::{sync::watch, task::JoinSet};

use super::{
    ProjectionOptions, ProjectionStatus, World,
    prepare::beginning,
    running::{Projecting, Stop},
    status::Reporter,
};
use crate::{
    direct::DirectSource,
    job::{EffectJob, Handler, Handles, Job, KeyedView, Projection, Puts, Sink, Writes},
    metrics::{Lags, Meter},
};

/// What may be in the way of asking how a topic is divided, and passes.
const IS_WAITED_FOR: [Code; 2] = [Code::TOPIC_MISSING, Code::BROKER_UNREACHABLE];

/// Builds and keeps up read models: any number of views, projections, sinks and handlers, each with a
/// progress of its own. There may be any number of workers, in any number of processes: they share the
/// work (R1).
///
/// ```
/// # use highwater_core::{Highwater, Result, read::View};
/// # use highwater_projections::Worker;
/// # async fn example<Balances: View, Owners: View>(bank: &Highwater) -> Result<()> {
/// let worker = Worker::new(bank).view::<Balances>().view::<Owners>().start().await?;
/// // …
/// worker.stop().await?;
/// # Ok(())
/// # }
/// ```
pub struct Worker {
    world: World,
    source: Arc<dyn FeedSource>,
    jobs: Vec<(Arc<dyn Job>, ProjectionOptions)>,
}

impl Worker {
    /// A worker on the views of this store, fed by its log directly.
    #[must_use]
    pub fn new(highwater: &Highwater) -> Self {
        let source: Arc<dyn FeedSource> = Arc::new(DirectSource::new(highwater));
        let world = World {
            log: Arc::clone(highwater.log()),
            views: Arc::clone(highwater.views()),
            clock: Arc::clone(highwater.clock()),
            worker: WorkerId::unique(&**highwater.ids()),
            lease: source.lease(),
        };
        Self { world, source, jobs: Vec::new() }
    }

    /// Feeds from elsewhere than the log directly.
    #[must_use]
    pub fn fed_by(mut self, source: impl FeedSource) -> Self {
        self.source = Arc::new(source);
        self
    }

    /// Adds a view.
    #[must_use]
    pub fn view<V: View>(self) -> Self {
        self.view_with::<V>(ProjectionOptions::default())
    }

    /// Adds a view that is run like this.
    #[must_use]
    pub fn view_with<V: View>(self, options: ProjectionOptions) -> Self {
        self.add(KeyedView::<V>::default(), options)
    }

    /// Adds a projection with writes of its own.
    #[must_use]
    pub fn projection(self, projection: impl Projection, options: ProjectionOptions) -> Self {
        self.add(EffectJob::new(Writes(projection)), options)
    }

    /// Adds a sink.
    #[must_use]
    pub fn sink(self, sink: impl Sink, options: ProjectionOptions) -> Self {
        self.add(EffectJob::new(Puts(sink)), options)
    }

    /// Adds a handler of side effects.
    #[must_use]
    pub fn handler(self, handler: impl Handler, options: ProjectionOptions) -> Self {
        self.add(EffectJob::new(Handles(handler)), options)
    }

    /// Meets these faults from now on: with its source, and with its views.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_faults(mut self, faults: &crate::testing::Faults) -> Self {
        self.source = faults.on_source(self.source);
        self.world.views = faults.on_views(self.world.views);
        self
    }

    fn add(mut self, job: impl Job, options: ProjectionOptions) -> Self {
        self.jobs.push((Arc::new(job), options));
        self
    }

    /// Starts to work in tasks of this process. The tables are there when this returns. A topic that
    /// no relay has made yet is waited for, as is a broker that can't be reached, and [`Status`] says so.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if two have one name, or one can't be run as it is
    /// declared; [`Unavailable`](highwater_core::Error::Unavailable) if a store can't be reached now.
    pub async fn start(mut self) -> Result<WorkerHandle> {
        self.world.lease = self.source.lease();
        let (sender, stop) = Stop::new();
        let mut running =
            WorkerHandle { stop: sender, tasks: JoinSet::new(), statuses: Vec::new() };
        let (mut projections, lags) = (Vec::new(), Arc::new(Lags::default()));
        for (job, options) in self.jobs {
            let spec = beginning(&*job, &self.world).await?;
            let (by, shards) = job.division(options.shards);
            let layout = match self.source.sharding(by, shards).await {
                // It is divided when the topic can be asked. Until then the status says what is in the way.
                Err(error) if IS_WAITED_FOR.contains(&error.code()) => Sharding::by_stream(1),
                layout => layout?,
            };
            self.world.views.open_view(&spec, layout).await?;
            let (reporter, status) = Reporter::new(spec.name.clone(), &self.world.clock);
            running.statuses.push(status);
            let meter = Meter::new(spec.name.as_str(), &lags);
            let (view, world) = (spec.name, self.world.clone());
            projections.push(Projecting { view, job, options, world, reporter, meter });
        }
        running.have_names_of_their_own()?;
        for projection in projections {
            running.tasks.spawn(projection.run(Arc::clone(&self.source), stop.clone()));
        }
        running.tasks.spawn(look(lags, self.world, stop));
        Ok(running)
    }

    /// Works until `shutdown`. A projection that has stopped for somebody to look doesn't stop the
    /// others.
    ///
    /// # Errors
    /// As [`Worker::start`], and what made a projection stop, if anything did.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let running = self.start().await?;
        shutdown.await;
        running.stop().await
    }
}

/// Tells how far behind the log the shards are, until it is time to stop.
async fn look(lags: Arc<Lags>, world: World, mut stop: Stop) -> Result<()> {
    tokio::select! {
        () = lags.look(&*world.log, &*world.clock) => {}
        () = stop.wait() => {}
    }
    Ok(())
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("id", &self.world.worker).finish_non_exhaustive()
    }
}

/// A worker that works. Dropping it ends the work, at any point: what is under way is committed or not.
#[derive(Debug)]
pub struct WorkerHandle {
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<()>>,
    statuses: Vec<ProjectionStatus>,
}

impl WorkerHandle {
    /// How each projection fares, in the order in which they were added.
    #[must_use]
    pub fn statuses(&self) -> &[ProjectionStatus] {
        &self.statuses
    }

    /// How the projection of this name fares.
    #[must_use]
    pub fn status(&self, view: &str) -> Option<&ProjectionStatus> {
        self.statuses.iter().find(|status| status.view().as_str() == view)
    }

    /// Ends the work in order: shards are given back, so that others can take over at once.
    ///
    /// # Errors
    /// What made a projection stop before, if anything did.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.send_replace(true);
        let mut outcome = Ok(());
        while let Some(joined) = self.tasks.join_next().await {
            let ended = joined.unwrap_or_else(|error| {
                Err(Invalid::request(format!("a projection panicked: {error}")).into())
            });
            outcome = outcome.and(ended);
        }
        outcome
    }

    fn have_names_of_their_own(&self) -> Result<()> {
        let mut names: HashSet<&ViewName> = HashSet::new();
        match self.statuses.iter().find(|status| !names.insert(status.view())) {
            None => Ok(()),
            Some(status) => {
                let message = format!("two projections of a worker are named {}", status.view());
                Err(Invalid::request(message).into())
            }
        }
    }
}
