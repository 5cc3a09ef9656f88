//! Exports traces to a collector.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use highwater_core::{
    Result, TraceContext,
    error::{Invalid, Source},
    trace::{self, Propagator},
};
use opentelemetry::{
    Context,
    trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, Registry};

use super::OtlpConfig;

/// The provider, which is flushed before the process ends.
static PROVIDER: Mutex<Option<SdkTracerProvider>> = Mutex::new(None);

/// The limit on the flush at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Creates the layer that exports spans.
pub(super) fn layer(config: &OtlpConfig) -> Result<Box<dyn Layer<Registry> + Send + Sync>> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", config.endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| {
            let message = "the key otlp.endpoint is not the address of a collector";
            Invalid::configuration(message).caused_by(Source::new(error))
        })?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample)));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(Resource::builder().with_service_name(config.service.clone()).build())
        .build();
    let tracer = provider.tracer("highwater");
    *PROVIDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(provider);
    trace::install(OpenTelemetry)?;
    Ok(tracing_opentelemetry::layer().with_tracer(tracer).boxed())
}

/// Sends the remaining spans, within [`FLUSH_TIMEOUT`].
pub(super) async fn flush() {
    let provider = PROVIDER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(provider) = provider else { return };
    let flushing = tokio::task::spawn_blocking(move || provider.force_flush());
    match tokio::time::timeout(FLUSH_TIMEOUT, flushing).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "some spans were not sent"),
        Ok(Err(_)) | Err(_) => tracing::warn!("some spans were not sent in time"),
    }
}

/// Connects spans to traces through OpenTelemetry.
struct OpenTelemetry;

impl Propagator for OpenTelemetry {
    fn context_of(&self, span: &Span) -> Option<TraceContext> {
        let context = span.context();
        let span = context.span();
        let span = span.span_context().clone();
        if !span.is_valid() {
            return None;
        }
        let trace = span.trace_id();
        let id = span.span_id();
        let flags = span.trace_flags().to_u8();
        let context = TraceContext::new(&format!("00-{trace}-{id}-{flags:02x}")).ok()?;
        Some(match span.trace_state().header() {
            state if state.is_empty() => context,
            state => context.with_state(state),
        })
    }

    fn adopt(&self, span: &Span, cause: &TraceContext) {
        let Some(cause) = remote(cause) else { return };
        // This fails only for a span that no layer collects.
        let _ = span.set_parent(Context::new().with_remote_span_context(cause));
    }
}

fn remote(context: &TraceContext) -> Option<SpanContext> {
    let mut parts = context.traceparent().split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let state = context.tracestate().and_then(|state| state.parse::<TraceState>().ok());
    let state = state.unwrap_or_default();
    Some(SpanContext::new(trace, span, TraceFlags::new(flags), true, state))
}
