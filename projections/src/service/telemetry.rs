//! Logs and metrics, for the whole process.

use std::sync::{Mutex, PoisonError};

use highwater_core::{
    Result,
    error::{Invalid, Source},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};
#[cfg(feature = "otlp")]
use tracing_subscriber::{
    filter::{FilterExt as _, LevelFilter, filter_fn},
    layer::Filter,
};

use super::{Config, LogFormat};

/// The buckets of durations, from a tenth of a millisecond to half a minute.
const SECONDS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// The buckets of counts.
const SIZES: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0];

/// The recorder of this process, if a service has installed it.
static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Installs logs, metrics and traces as configured, once for the process, and returns the handle that renders the metrics.
pub(super) fn install(config: &Config) -> Result<PrometheusHandle> {
    check(config)?;
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    install_subscriber(config)?;
    let handle = install_metrics()?;
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Reports errors of the configuration, even if another service of the process has already installed its own.
fn check(config: &Config) -> Result<()> {
    filter("log.level", &config.log.level)?;
    #[cfg(feature = "otlp")]
    if let Some(otlp) = &config.otlp {
        filter("otlp.level", &otlp.level)?;
    }
    Ok(())
}

fn install_metrics() -> Result<PrometheusHandle> {
    let with_buckets = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(|builder| builder.set_buckets(SIZES));
    let installed = with_buckets.and_then(PrometheusBuilder::install_recorder);
    installed.map_err(|error| {
        let message = "this process already has another recorder of metrics";
        Invalid::configuration(message).caused_by(Source::new(error)).into()
    })
}

type Layers = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

fn install_subscriber(config: &Config) -> Result<()> {
    let layers = layers(config)?;
    // A program that has installed its own subscriber keeps it.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(())
}

fn layers(config: &Config) -> Result<Layers> {
    let lines = match config.log.format {
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(std::io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    #[cfg_attr(not(feature = "otlp"), expect(unused_mut, reason = "traces are another layer"))]
    let mut layers = vec![lines.with_filter(filter("log.level", &config.log.level)?).boxed()];
    #[cfg(feature = "otlp")]
    if let Some(otlp) = &config.otlp {
        let spans = filter("otlp.level", &otlp.level)?.and(no_events());
        layers.push(super::otlp::layer(otlp)?.with_filter(spans).boxed());
    }
    Ok(layers)
}

/// Filters out events: they would be sent within their spans, and `otlp.level` applies to spans only. Without the hint, the
/// filter would be called for every span and every event of the process.
#[cfg(feature = "otlp")]
fn no_events() -> impl Filter<Registry> {
    filter_fn(|metadata| !metadata.is_event()).with_max_level_hint(LevelFilter::TRACE)
}

fn filter(key: &str, level: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(level).map_err(|error| {
        let message = format!("the key {key} is not a filter of levels: {error}");
        Invalid::configuration(message).caused_by(Source::new(error)).into()
    })
}
