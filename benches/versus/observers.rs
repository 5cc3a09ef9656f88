//! The observers of a process.

use highwater::{
    domain::TraceContext,
    trace::{self, Propagator},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TracerProvider as _},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use serde::{Deserialize, Serialize};
use tracing::{Span, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    Layer as _, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

/// An observer.
#[derive(Serialize, Deserialize, Clone, Copy)]
pub(crate) enum Observer {
    Nobody,
    /// A recorder for Prometheus.
    Metrics,
    /// A subscriber that formats lines of level *info* with their spans, and discards them.
    Lines,
    /// OpenTelemetry: every span is sampled, and sent nowhere.
    Spans,
}

impl Observer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "unobserved",
            Self::Metrics => "with metrics",
            Self::Lines => "with logs",
            Self::Spans => "with spans",
        }
    }

    /// Installs the observer for the whole process.
    pub(crate) fn begin(self) {
        match self {
            Self::Nobody => {}
            Self::Metrics => drop(PrometheusBuilder::new().install_recorder().unwrap()),
            Self::Lines => {
                let lines = fmt::layer().with_ansi(false).with_writer(std::io::sink);
                registry().with(lines.with_filter(LevelFilter::INFO)).init();
            }
            Self::Spans => {
                let provider = SdkTracerProvider::builder().with_batch_exporter(Nowhere).build();
                let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("versus"));
                registry().with(spans.with_filter(LevelFilter::INFO)).init();
                trace::install(OpenTelemetry).unwrap();
                // The exporter works until this is dropped.
                std::mem::forget(provider);
            }
        }
    }
}

#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// Installs it as a service does.
struct OpenTelemetry;

impl Propagator for OpenTelemetry {
    fn context_of(&self, span: &Span) -> Option<TraceContext> {
        let context = span.context();
        let span = context.span();
        let span = span.span_context();
        let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
        span.is_valid().then(|| TraceContext::new(&format!("00-{trace}-{id}-{flags:02x}")).unwrap())
    }

    fn adopt(&self, span: &Span, cause: &TraceContext) {
        let parts: Vec<&str> = cause.traceparent().split('-').collect();
        let trace = TraceId::from_hex(parts[1]).unwrap();
        let id = SpanId::from_hex(parts[2]).unwrap();
        let state = opentelemetry::trace::TraceState::default();
        let cause = SpanContext::new(trace, id, TraceFlags::SAMPLED, true, state);
        span.set_parent(Context::new().with_remote_span_context(cause)).unwrap();
    }
}
