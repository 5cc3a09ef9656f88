//! The views, projections, sinks and handlers that run together in one process, and their start.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use highwater_core::{
    Code, Error, Highwater, Result,
    domain::{View, ViewSpec},
    error::Invalid,
    port::{FeedSource, WorkerId},
    value::Sharding,
};

use super::{
    WorkerHandle, context::WorkerContext, definition::DefinitionCheck,
    reporter::ProjectionReporter, shutdown::ShutdownSignal, task::ProjectionTask,
};
use crate::{
    direct::DirectSource,
    metrics::{LagMonitor, ProjectionMetrics},
    options::ProjectionOptions,
    projection::{
        EffectJob, Handler, HandlerEffect, Job, KeyedView, Projection, Sink, SinkEffect,
        TransactionalEffect,
    },
};

/// Transient errors of asking for the partitions of a topic: the worker starts without the answer.
const TOPIC_ERRORS: [Code; 2] = [Code::TOPIC_MISSING, Code::BROKER_UNREACHABLE];

/// Builds and updates read models: any number of views, projections, sinks and handlers, each with its own
/// progress. Any number of workers, in any number of processes, share the work (R1).
///
/// ```
/// # use highwater_core::{Highwater, Result, domain::View};
/// # use highwater_projections::worker::Worker;
/// # async fn example<Balances: View, Owners: View>(bank: &Highwater) -> Result<()> {
/// let worker = Worker::new(bank).view::<Balances>().view::<Owners>().start().await?;
/// // …
/// worker.stop().await?;
/// # Ok(())
/// # }
/// ```
pub struct Worker {
    context: WorkerContext,
    source: Arc<dyn FeedSource>,
    jobs: Vec<(Arc<dyn Job>, ProjectionOptions)>,
}

impl Worker {
    /// Creates a worker on the views of this store, fed by its log directly.
    #[must_use]
    pub fn new(highwater: &Highwater) -> Self {
        let source: Arc<dyn FeedSource> = Arc::new(DirectSource::new(highwater));
        let context = WorkerContext {
            log: Arc::clone(highwater.log()),
            views: Arc::clone(highwater.views()),
            clock: Arc::clone(highwater.clock()),
            worker: WorkerId::unique(&**highwater.ids()),
            lease: source.lease(),
        };
        Self { context, source, jobs: Vec::new() }
    }

    /// Sets another source of events than the log.
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

    /// Adds a view with options.
    #[must_use]
    pub fn view_with<V: View>(self, options: ProjectionOptions) -> Self {
        self.add(KeyedView::<V>::default(), options)
    }

    /// Adds a projection that writes to tables of the application.
    #[must_use]
    pub fn projection(self, projection: impl Projection, options: ProjectionOptions) -> Self {
        self.add(EffectJob::new(TransactionalEffect(projection)), options)
    }

    /// Adds a sink.
    #[must_use]
    pub fn sink(self, sink: impl Sink, options: ProjectionOptions) -> Self {
        self.add(EffectJob::new(SinkEffect(sink)), options)
    }

    /// Adds a handler of side effects.
    #[must_use]
    pub fn handler(self, handler: impl Handler, options: ProjectionOptions) -> Self {
        self.add(EffectJob::new(HandlerEffect(handler)), options)
    }

    /// Wraps the source and the views, to inject faults.
    #[cfg(feature = "testing")]
    pub(crate) fn decorate(
        mut self,
        source: impl FnOnce(Arc<dyn FeedSource>) -> Arc<dyn FeedSource>,
        views: impl FnOnce(
            Arc<dyn highwater_core::port::ViewStore>,
        ) -> Arc<dyn highwater_core::port::ViewStore>,
    ) -> Self {
        self.source = source(self.source);
        self.context.views = views(self.context.views);
        self
    }

    fn add(mut self, job: impl Job, options: ProjectionOptions) -> Self {
        self.jobs.push((Arc::new(job), options));
        self
    }

    /// Starts to work in tasks of this process. The tables have been created when this returns. If the
    /// relay has not created the topic yet, or no broker can be reached, the worker waits, and
    /// [`ProjectionStatus`](super::ProjectionStatus) says so.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if two have one name, or one can't be run as it is
    /// declared; [`Unavailable`](highwater_core::Error::Unavailable) if a store can't be reached now.
    pub async fn start(mut self) -> Result<WorkerHandle> {
        self.context.lease = self.source.lease();
        let lags = Arc::new(LagMonitor::default());
        let mut statuses = Vec::new();
        let mut projections = Vec::new();
        for (job, options) in self.jobs {
            let (spec, refused) = open_view(&*job, options, &*self.source, &self.context).await?;
            let ViewSpec { name: view, definition, .. } = spec;
            let (reporter, status) = ProjectionReporter::new(view.clone(), &self.context.clock);
            statuses.push(status);
            let metrics = ProjectionMetrics::new(view.as_str(), &lags);
            let context = self.context.clone();
            projections.push(ProjectionTask {
                view,
                definition,
                compared: Mutex::default(),
                refused,
                job,
                options,
                context,
                reporter,
                metrics,
            });
        }
        let mut names = HashSet::new();
        if let Some(status) = statuses.iter().find(|status| !names.insert(status.view())) {
            let message = format!("two projections of a worker are named {}", status.view());
            return Err(Invalid::request(message).into());
        }
        let (sender, shutdown) = ShutdownSignal::new();
        let mut worker = WorkerHandle::new(sender, statuses);
        for projection in projections {
            worker.spawn(projection.run(Arc::clone(&self.source), shutdown.clone()));
        }
        worker.spawn(monitor_lag(lags, self.context, shutdown));
        Ok(worker)
    }

    /// Works until `shutdown`. A projection that has stopped doesn't stop the others.
    ///
    /// # Errors
    /// As [`Worker::start`], and the error of the first projection that has stopped.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let worker = self.start().await?;
        shutdown.await;
        worker.stop().await
    }
}

/// Opens the view of a job. A new one starts where the job says. Returns the spec, and the error if the view is no
/// longer this program's: that stops the one projection.
async fn open_view(
    job: &dyn Job,
    options: ProjectionOptions,
    source: &dyn FeedSource,
    context: &WorkerContext,
) -> Result<(ViewSpec, Option<Error>)> {
    let mut spec = job.spec()?;
    if job.starts_at_head() {
        spec.start_after = context.log.head().await?;
    }
    let (by, shards) = job.sharding(options.shards);
    let sharding = match source.sharding(by, shards).await {
        // It is resharded when the topic can be asked. Until then the status reports the error.
        Err(error) if TOPIC_ERRORS.contains(&error.code()) => Sharding::by_stream(1),
        sharding => sharding?,
    };
    let opened = match check_stored(&spec, job, context).await {
        Ok(()) => context.views.open_view(&spec, sharding).await.map(drop),
        refused => refused,
    };
    match opened {
        Err(error) if error.code() == Code::OTHER_DEFINITION => Ok((spec, Some(error))),
        opened => opened.map(|()| (spec, None)),
    }
}

/// Compares the definition of a view that exists, perhaps under a former name, before it is renamed or gets columns:
/// a program that is refused changes nothing.
async fn check_stored(spec: &ViewSpec, job: &dyn Job, context: &WorkerContext) -> Result<()> {
    let Some(own) = &spec.definition else { return Ok(()) };
    for view in [&spec.name].into_iter().chain(&spec.formerly) {
        let query = job.query()?;
        let check = DefinitionCheck { view, own, query, is_starting: true, context };
        match check.ensure().await {
            Err(error) if error.code() == Code::VIEW_MISSING => {}
            compared => return compared.map(drop),
        }
    }
    Ok(())
}

/// Measures how far the shards are behind the log, until shutdown.
async fn monitor_lag(
    lags: Arc<LagMonitor>,
    context: WorkerContext,
    mut shutdown: ShutdownSignal,
) -> Result<()> {
    tokio::select! {
        () = lags.run(&*context.log, &*context.clock) => {}
        () = shutdown.wait() => {}
    }
    Ok(())
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("id", &self.context.worker)
            .field("projections", &self.jobs.len())
            .finish_non_exhaustive()
    }
}
