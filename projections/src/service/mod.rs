//! Workers and relays as services (O5): configuration, readiness, metrics, shutdown in order.
//!
//! | File | What is in it |
//! |---|---|
//! | `config` | the configuration of a service, from a file and the environment |
//! | `secret` | texts that are never shown |
//! | `telemetry` | logs and metrics, for the whole process |
//! | `otlp` | traces, sent to a collector (feature `otlp`) |
//! | `readiness` | the health of the components, as `/ready` reports it |
//! | `endpoint` | `/live`, `/ready` and `/metrics` over HTTP |
//! | `signals` | SIGTERM and Ctrl-C |
//! | `run` | starts, watches and shuts down the components |

mod config;
mod endpoint;
#[cfg(feature = "otlp")]
mod otlp;
mod readiness;
mod run;
mod secret;
mod signals;
mod telemetry;

use std::{error, fmt, future::IntoFuture};

use futures_util::future::BoxFuture;
use highwater_core::{
    Error, Result,
    error::{Invalid, Panicked, Source},
};
use metrics_exporter_prometheus::PrometheusHandle;

#[cfg(feature = "otlp")]
pub use config::OtlpConfig;
pub use config::{AuditWindow, Config, HttpConfig, LogConfig, LogFormat, ProjectionConfig};
#[cfg(feature = "kafka")]
pub use config::{KafkaConfig, RelayConfig};
pub use readiness::{DriftReport, Failure, ProjectionReport, RelayReport, Report, ShardReport};
pub use secret::Secret;

#[cfg(feature = "kafka")]
use crate::kafka::{KafkaSource, Relay};
use crate::worker::Worker;

/// Resolves when a service shuts down.
pub type Shutdown = BoxFuture<'static, ()>;

type Component = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Result<()>> + Send>;

/// Runs workers and relays so that an operator can deploy, watch and stop them.
///
/// Create the service before opening a store: it sets up logs and metrics.
///
/// ```no_run
/// use highwater_core::{Highwater, Result, domain::View};
/// use highwater_projections::{worker::Worker, service::{Config, Service}};
///
/// # async fn open(_: &str) -> Result<Highwater> { unimplemented!() }
/// # async fn example<Balances: View>() -> Result<()> {
/// let service = Service::new(Config::load("worker.toml", "BANK")?)?;
/// let bank = open(service.config().store.expose()).await?;
/// let worker = Worker::new(&bank).view_with::<Balances>(service.config().options("balances"));
/// service.worker(worker).run_until_shutdown().await
/// # }
/// ```
pub struct Service {
    config: Config,
    metrics: PrometheusHandle,
    workers: Vec<Worker>,
    components: Vec<Component>,
    #[cfg(feature = "kafka")]
    relays: Vec<Relay>,
    #[cfg(feature = "kafka")]
    sources: Vec<KafkaSource>,
}

impl Service {
    /// Creates a service, and starts to log, measure and trace as configured. A process has one destination for each: a
    /// program that has installed its own `tracing` subscriber before keeps it.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the configuration has a malformed filter of logs, or
    /// the process has another recorder of metrics.
    pub fn new(config: Config) -> Result<Self> {
        let metrics = telemetry::install(&config)?;
        Ok(Self {
            config,
            metrics,
            workers: Vec::new(),
            components: Vec::new(),
            #[cfg(feature = "kafka")]
            relays: Vec::new(),
            #[cfg(feature = "kafka")]
            sources: Vec::new(),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Adds a worker.
    #[must_use]
    pub fn worker(mut self, worker: Worker) -> Self {
        self.workers.push(worker);
        self
    }

    /// Adds a component of the application that runs beside workers and relays, such as its HTTP server. It gets a future
    /// that resolves on shutdown, and then has the same time to finish as all others ([`Config::drain`]); after that it is
    /// dropped, but tasks that it has spawned are not. If it ends before, with or without an error, the service shuts
    /// down. If it panics, the service ends with [`Panicked`], which names the component.
    ///
    /// ```no_run
    /// use axum::Router;
    /// use highwater_projections::service::Service;
    ///
    /// # async fn example(service: Service, router: Router) -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// let api = |shutdown| axum::serve(listener, router).with_graceful_shutdown(shutdown);
    /// service.component("the API", api).run_until_shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn component<F, E>(
        mut self,
        name: &'static str,
        component: impl FnOnce(Shutdown) -> F + Send + 'static,
    ) -> Self
    where
        F: IntoFuture<Output = Result<(), E>>,
        F::IntoFuture: Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>>,
    {
        self.components.push(Box::new(move |shutdown| {
            Box::pin(async move {
                let running = async move { component(shutdown).await };
                let outcome = Panicked::guard_async(|| name.to_owned(), running).await?;
                tracing::info!(
                    component = name,
                    is_ok = outcome.is_ok(),
                    "the component has ended"
                );
                outcome.map_err(|error| failed(name, error.into()))
            })
        }));
        self
    }

    /// Adds a relay.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub fn relay(mut self, relay: Relay) -> Self {
        self.relays.push(relay);
        self
    }

    /// Includes the connections of this source in readiness. Without it a worker whose broker is unreachable counts as
    /// ready until it fails.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub fn source(mut self, source: &KafkaSource) -> Self {
        self.sources.push(source.clone());
        self
    }
}

/// Converts the error of a component: an error of Highwater stays as it is.
fn failed(name: &str, error: Box<dyn error::Error + Send + Sync>) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => {
            let message = format!("{name} has failed: {error}");
            Invalid::request(message).caused_by(Source::new(error)).into()
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("config", &self.config).finish_non_exhaustive()
    }
}
