//! `/live`, `/ready` and `/metrics` over HTTP, for probes and for Prometheus.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use highwater_core::{
    Result,
    error::{Invalid, Source},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::readiness::Health;

/// The HTTP server of a service, on its bound port.
pub(super) struct Endpoint {
    listener: TcpListener,
    router: Router,
}

struct EndpointState {
    health: Health,
    metrics: PrometheusHandle,
}

impl Endpoint {
    pub(super) async fn bind(
        listen: SocketAddr,
        health: &Health,
        metrics: &PrometheusHandle,
    ) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            let message = format!("the key http.listen: {listen} can't be listened on");
            Invalid::configuration(message).caused_by(Source::new(error))
        })?;
        let state = Arc::new(EndpointState { health: health.clone(), metrics: metrics.clone() });
        let router = Router::new()
            .route("/live", get(live))
            .route("/ready", get(ready))
            .route("/metrics", get(render_metrics))
            .with_state(state);
        Ok(Self { listener, router })
    }

    /// The address that the server listens on: the system chose the port if the configured one was 0.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until the future is dropped.
    pub(super) async fn serve(self) {
        if let Err(error) = axum::serve(self.listener, self.router).await {
            tracing::error!(%error, "the endpoint of probes and metrics has failed");
        }
    }
}

/// Reports that the process runs and its runtime makes progress. Conditions that a restart would not fix are part of
/// readiness.
async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(state): State<Arc<EndpointState>>) -> impl IntoResponse {
    let report = state.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn render_metrics(State(state): State<Arc<EndpointState>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render())
}
