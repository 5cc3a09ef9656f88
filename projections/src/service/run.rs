//! Starts, watches and shuts down the components of a service.

use std::{collections::HashSet, mem, time::Duration};

use highwater_core::{
    Result,
    error::{Invalid, Panicked, Unavailable},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use super::{
    Config, Service, Shutdown,
    endpoint::Endpoint,
    readiness::{Health, Phase},
    signals::Signals,
};
use crate::worker::WorkerHandle;

/// The interval of the recorder's maintenance, which bounds the memory of its histograms.
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

impl Service {
    /// Runs until SIGTERM or Ctrl-C, and then drains: it finishes the work in progress and releases shards and leads. A
    /// second signal ends it at once, as does the end of [`Config::drain`]; work that is still in progress then is
    /// committed or not, and redone by the next owner.
    ///
    /// A projection that stops with an error doesn't end the service: readiness reports it. A relay or a component that
    /// ends does: the rest drains all the same. A shutdown during the start drains, too.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) or
    /// [`Unavailable`](highwater_core::Error::Unavailable) if it can't start;
    /// the error of a projection that stopped, or of another component;
    /// [`Panicked`](highwater_core::Error::Panicked) if a component panicked;
    /// [`Unavailable`](highwater_core::Error::Unavailable) if it did not drain in time. Of several errors it returns the
    /// first, and logs the others.
    pub async fn run_until_shutdown(self) -> Result<()> {
        let signals = Signals::listen()?;
        self.run_and_drain(signals.received(1), |has_signal| {
            signals.received(1 + u32::from(has_signal))
        })
        .await
    }

    /// Runs until `shutdown`, and then drains, as [`Service::run_until_shutdown`].
    ///
    /// # Errors
    /// As [`Service::run_until_shutdown`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        self.run_and_drain(shutdown, |_| std::future::pending()).await
    }

    /// Runs until `shutdown` or the end of a component. The future from `abort` cuts the drain short; `abort` gets true if
    /// the drain follows a shutdown or an end without an error.
    async fn run_and_drain<F: Future<Output = ()>>(
        mut self,
        shutdown: impl Future<Output = ()>,
        abort: impl FnOnce(bool) -> F,
    ) -> Result<()> {
        let health = Health::default();
        let drain_limit = self.config.drain;
        let endpoint = Endpoint::bind(self.config.http.listen, &health, &self.metrics).await?;
        if let Some(address) = endpoint.address() {
            tracing::info!(%address, "answering at /live, /ready and /metrics");
        }
        let mut background = JoinSet::new();
        background.spawn(endpoint.serve());
        background.spawn(maintain_metrics(self.metrics.clone()));
        let mut components = Components::default();
        let working = async {
            self.start(&mut components, &health).await?;
            health.enter(Phase::Running);
            components.ended().await
        };
        // A component that receives the same signal may end at the same moment: the shutdown comes first.
        let (outcome, abort) = tokio::select! {
            biased;
            () = shutdown => (Ok(()), abort(true)),
            outcome = working => {
                let is_ok = outcome.is_ok();
                log_end(&outcome);
                (outcome, abort(is_ok))
            }
        };
        tracing::info!(within = ?drain_limit, "draining");
        health.enter(Phase::Draining);
        let outcome = first_error(outcome, drain(components, drain_limit, abort).await);
        #[cfg(feature = "otlp")]
        super::otlp::flush().await;
        outcome
    }

    async fn start(&mut self, components: &mut Components, health: &Health) -> Result<()> {
        for worker in self.workers.drain(..) {
            let worker = worker.start().await?;
            health.projections(worker.statuses());
            components.workers.push(worker);
        }
        components.check_projections(&self.config)?;
        #[cfg(feature = "kafka")]
        {
            health.sources(mem::take(&mut self.sources));
            for relay in self.relays.drain(..) {
                health.relay(relay.status());
                components.spawn(move |shutdown| relay.run(shutdown));
            }
        }
        self.components.drain(..).for_each(|component| components.spawn(component));
        Ok(())
    }
}

/// Logs that a component has ended before the shutdown.
fn log_end(outcome: &Result<()>) {
    match outcome {
        Ok(()) => {
            tracing::warn!("a component has ended before the shutdown; the service shuts down");
        }
        Err(error) => {
            tracing::error!(%error, code = %error.code(), "a component has failed; the service shuts down");
        }
    }
}

/// Returns the first error, and logs the second.
fn first_error(first: Result<()>, then: Result<()>) -> Result<()> {
    if let (Err(_), Err(error)) = (&first, &then) {
        tracing::error!(%error, code = %error.code(), "another component has failed as well");
    }
    first.and(then)
}

async fn maintain_metrics(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(METRICS_UPKEEP_INTERVAL).await;
        metrics.run_upkeep();
    }
}

/// Stops all components, unless that exceeds the limit.
async fn drain(
    mut components: Components,
    within: Duration,
    abort: impl Future<Output = ()>,
) -> Result<()> {
    let late = async {
        tokio::select! {
            () = tokio::time::sleep(within) => {}
            () = abort => {}
        }
    };
    let began = std::time::Instant::now();
    let mut outcome = Ok(());
    let drained = tokio::select! {
        () = components.stop(&mut outcome) => Ok(()),
        () = late => Err(Unavailable::ShutdownTimeout { waited: began.elapsed() }.into()),
    };
    first_error(outcome, drained)
}

/// The running components of a service.
#[derive(Default)]
struct Components {
    workers: Vec<WorkerHandle>,
    tasks: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Components {
    fn spawn<F>(&mut self, component: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let mut stop = self.stop.subscribe();
        let shutdown = async move { drop(stop.wait_for(|stop| *stop).await) };
        self.tasks.spawn(component(Box::pin(shutdown)));
    }

    /// Checks that every configured projection exists.
    fn check_projections(&self, config: &Config) -> Result<()> {
        let statuses = self.workers.iter().flat_map(WorkerHandle::statuses);
        let names: HashSet<&str> = statuses.map(|status| status.view().as_str()).collect();
        match config.projections.keys().find(|name| !names.contains(name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let mut names: Vec<_> = names.into_iter().collect();
                names.sort_unstable();
                let message = format!(
                    "the key projections.{name} names no projection of this service; there are {}",
                    names.join(", ")
                );
                Err(Invalid::configuration(message).into())
            }
        }
    }

    /// Waits until a component ends: a relay whose topic has the wrong number of partitions, for example.
    async fn ended(&mut self) -> Result<()> {
        match self.tasks.join_next().await {
            Some(ended) => joined(ended),
            None => std::future::pending().await,
        }
    }

    /// Stops all components at the same time.
    async fn stop(&mut self, outcome: &mut Result<()>) {
        self.stop.send_replace(true);
        for worker in self.workers.drain(..) {
            self.tasks.spawn(worker.stop());
        }
        while let Some(ended) = self.tasks.join_next().await {
            *outcome = first_error(mem::replace(outcome, Ok(())), joined(ended));
        }
    }
}

/// Returns the outcome of a task. Only a worker or a relay can panic here: components catch their own panics.
fn joined(ended: Result<Result<()>, JoinError>) -> Result<()> {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(outcome) => outcome,
        Err(Ok(payload)) => Err(Panicked::new("a worker or a relay", &*payload).into()),
        Err(Err(error)) => {
            Err(Invalid::request(format!("a component was cancelled: {error}")).into())
        }
    }
}
