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

use super::readiness::Board;

/// The port, bound, and what answers there.
pub(super) struct Endpoint {
    listener: TcpListener,
    router: Router,
}

struct Shared {
    board: Board,
    metrics: PrometheusHandle,
}

impl Endpoint {
    pub(super) async fn bind(
        listen: SocketAddr,
        board: &Board,
        metrics: &PrometheusHandle,
    ) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            let message = format!("the key http.listen: {listen} can't be listened at");
            Invalid::configuration(message).caused_by(Source::new(error))
        })?;
        let shared = Arc::new(Shared { board: board.clone(), metrics: metrics.clone() });
        let router = Router::new()
            .route("/live", get(live))
            .route("/ready", get(ready))
            .route("/metrics", get(tell))
            .with_state(shared);
        Ok(Self { listener, router })
    }

    /// Where it listens: the port is another than the one asked for if that was 0.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers until this is dropped.
    pub(super) async fn serve(self) {
        if let Err(error) = axum::serve(self.listener, self.router).await {
            tracing::error!(%error, "nobody answers probes any more");
        }
    }
}

/// The process is there and its runtime turns. What a restart would not mend is a matter of readiness.
async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let report = shared.board.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn tell(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.metrics.render())
}
