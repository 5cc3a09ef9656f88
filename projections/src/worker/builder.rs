//! The views, projections, sinks and handlers that run together in one process, and their start.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use highwater_core::{
    Code, Error, Highwater, Result,
    domain::{View, ViewDefinition, ViewSpec},
    error::{Conflict, Invalid},
    port::{FeedSource, WorkerId},
    value::Sharding,
};

use super::{
    WorkerHandle, context::WorkerContext, generation::GenerationChoice,
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

/// The wait before a generation is chosen again, because another program was faster.
const CHOICE_DELAY: Duration = Duration::from_millis(50);

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
            let (reporter, status) = ProjectionReporter::new(&spec, &self.context.clock);
            let record = status.audit_record();
            statuses.push(status);
            let metrics = ProjectionMetrics::new(spec.name.as_str(), &lags);
            let context = self.context.clone();
            projections.push(ProjectionTask {
                view: spec.stored_name(),
                spec,
                compared: Mutex::default(),
                refused,
                job,
                options,
                context,
                reporter,
                metrics,
                record,
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
    loop {
        let choice = GenerationChoice { spec: &spec, job, on_change: options.on_change, context };
        let opened = match choice.choose().await {
            Ok(chosen) => open_own(chosen, sharding, context).await,
            Err(refused) => Err(refused),
        };
        match opened {
            Err(error) if error.code() == Code::OTHER_DEFINITION => return Ok((spec, Some(error))),
            Err(error) if error.code() == Code::STALE_DEFINITION => {
                tracing::info!(view = %spec.name, "another program was faster; choosing again");
                context.clock.sleep(CHOICE_DELAY).await;
            }
            opened => return opened.map(|spec| (spec, None)),
        }
    }
}

/// Opens the generation that was chosen. Another program may have made one of its number meanwhile.
async fn open_own(spec: ViewSpec, sharding: Sharding, context: &WorkerContext) -> Result<ViewSpec> {
    let state = context.views.open_view(&spec, sharding).await?;
    let own = spec.definition.as_ref().map(ViewDefinition::hash);
    if own.zip(state.definition).is_some_and(|(own, stored)| own != stored) {
        return Err(Conflict::Definition { view: spec.stored_name().to_string() }.into());
    }
    Ok(spec)
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
