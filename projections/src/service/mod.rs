//! Workers and relays as services (O5): configuration, readiness, metrics, shutdown in order.
//!
//! | File | What is in it |
//! |---|---|
//! | `config` | what a service is told, from a file and the environment |
//! | `secret` | what is never shown |
//! | `telemetry` | logs and metrics, for the whole process |
//! | `otlp` | traces, sent to a collector (feature `otlp`) |
//! | `readiness` | whether it does what it should, and if not, why |
//! | `endpoint` | `/live`, `/ready` and `/metrics` over HTTP |
//! | `signals` | SIGTERM and Ctrl-C |
//! | `run` | from the start to the end |

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
    error::{Invalid, Source},
};
use metrics_exporter_prometheus::PrometheusHandle;

#[cfg(feature = "otlp")]
pub use config::OtlpConfig;
pub use config::{Config, HttpConfig, LogConfig, LogFormat, ProjectionConfig};
#[cfg(feature = "kafka")]
pub use config::{KafkaConfig, RelayConfig};
pub use readiness::{Failure, ProjectionReport, RelayReport, Report};
pub use secret::Secret;

use crate::Worker;
#[cfg(feature = "kafka")]
use crate::kafka::{KafkaSource, Relay};

/// Resolves when a service is told to end.
pub type Shutdown = BoxFuture<'static, ()>;

type Part = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, Result<()>> + Send>;

/// Runs workers and relays so that an operator can deploy, watch and stop them.
///
/// Make it before a store is opened: logs and metrics go where it says from then on.
///
/// ```no_run
/// use highwater_core::{Highwater, Result, read::View};
/// use highwater_projections::{Worker, service::{Config, Service}};
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
    own: Vec<Part>,
    #[cfg(feature = "kafka")]
    relays: Vec<Relay>,
    #[cfg(feature = "kafka")]
    sources: Vec<KafkaSource>,
}

impl Service {
    /// Begins to log, to measure and to trace as the configuration says. A process has one destination
    /// for each: a program that has set its own subscriber of `tracing` before keeps it.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the configuration names no filter of logs, or the
    /// process has another recorder of metrics.
    pub fn new(config: Config) -> Result<Self> {
        let metrics = telemetry::install(&config)?;
        Ok(Self {
            config,
            metrics,
            workers: Vec::new(),
            own: Vec::new(),
            #[cfg(feature = "kafka")]
            relays: Vec::new(),
            #[cfg(feature = "kafka")]
            sources: Vec::new(),
        })
    }

    /// What it has been told.
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

    /// Adds a part of the program's own that runs beside workers and relays, such as its HTTP server. It
    /// gets what resolves when the service is told to end, and has as long as all others to end then
    /// ([`Config::drain`]); after that it is dropped, and what it has spawned is its own matter. If it ends
    /// by itself, so does the service.
    ///
    /// ```no_run
    /// use axum::Router;
    /// use highwater_projections::service::Service;
    ///
    /// # async fn example(service: Service, router: Router) -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// let api = |told| axum::serve(listener, router).with_graceful_shutdown(told);
    /// service.component("the API", api).run_until_shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn component<F, E>(
        mut self,
        name: &'static str,
        part: impl FnOnce(Shutdown) -> F + Send + 'static,
    ) -> Self
    where
        F: IntoFuture<Output = Result<(), E>>,
        F::IntoFuture: Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>>,
    {
        self.own.push(Box::new(move |told| {
            Box::pin(async move {
                let outcome = part(told).await;
                tracing::info!(part = name, is_ok = outcome.is_ok(), "ended");
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

    /// Has readiness look at the connections of this source as well. Without that a worker whose broker
    /// is gone counts as ready for as long as it doesn't fail.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub fn source(mut self, source: &KafkaSource) -> Self {
        self.sources.push(source.clone());
        self
    }
}

/// What a part of the program's own has ended with: an error of Highwater's stays what it is.
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
