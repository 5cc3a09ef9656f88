//! The span of a request; `traceparent` and `tracestate` (O1).

use std::time::Duration;

use axum::{
    extract::MatchedPath,
    http::{HeaderMap, Request, Response},
};
use highwater_core::{
    TraceContext,
    trace::{adopt, context_of},
};
use tracing::{Span, field::Empty};

use super::single_header;

/// The limit on `tracestate`, which is stored with every event. The standard asks to keep at least this much.
const MAX_TRACESTATE_BYTES: usize = 512;

/// Creates the span of a request, with its method and its route. It belongs to the trace in `traceparent`, or starts a
/// new one. Everything that the handler does is in it, including commands.
///
/// Use it with `TraceLayer` of the crate `tower-http`, on a router that has its routes; [`record_response`] records the
/// status in it:
/// `TraceLayer::new_for_http().make_span_with(request_span).on_response(record_response).on_failure(())`.
/// `on_failure(())` is there because `tower-http` logs every 5xx as an error by default, also one that tells a client to
/// retry; failures are logged where their problem is created.
///
/// The caller chooses the trace, and with it whether the trace is sampled: where callers are not trusted, a proxy must
/// remove `traceparent`.
#[must_use]
pub fn request_span<B>(request: &Request<B>) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        method = %request.method(),
        // Never the path: it has too many values, and may contain personal data.
        route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str),
        trace_id = Empty,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    );
    if let Some(trace) = read(request.headers()) {
        adopt(&span, &trace);
    }
    span
}

/// Records the status of a response in the span of its request; a 5xx marks the span as an error (O1). Use it as
/// `on_response` of the same layer as [`request_span`].
pub fn record_response<B>(response: &Response<B>, _took: Duration, span: &Span) {
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Returns the trace that a request belongs to. A malformed one is ignored, as
/// [the standard](https://www.w3.org/TR/trace-context/) requires: the command then starts a new trace.
pub(super) fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let parent = single_header(headers, "traceparent").ok()??;
    let trace = TraceContext::new(parent).ok().or_else(|| newer_version(parent))?;
    let state = tracestate(headers);
    Some(if state.is_empty() { trace } else { trace.with_state(state) })
}

/// Returns the cause of a command in this trace: the span that handles the request if it belongs to the trace, otherwise
/// the span of the sender.
pub(super) fn cause_of(sent: &TraceContext) -> TraceContext {
    let handling = context_of(&Span::current());
    handling.filter(|own| own.trace_id() == sent.trace_id()).unwrap_or_else(|| sent.clone())
}

/// Parses a later version of the header by the rules of the first: its first four fields, of which the last is reduced
/// to the one known flag.
fn newer_version(parent: &str) -> Option<TraceContext> {
    let (fields, rest) = parent.split_at_checked(55)?;
    let version = fields.get(..2).filter(|version| !matches!(*version, "00" | "ff"))?;
    let is_version = version.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let has_valid_end = rest.is_empty() || rest.starts_with('-');
    let flags = u8::from_str_radix(fields.get(53..)?, 16).ok()? & 1;
    let known = format!("00{}{flags:02x}", fields.get(2..53)?);
    TraceContext::new(&known).ok().filter(|_| is_version && has_valid_end)
}

/// Returns the entries of all lines, from the first on, up to the limit.
fn tracestate(headers: &HeaderMap) -> String {
    let mut state = String::new();
    let lines = headers.get_all("tracestate").iter().filter_map(|line| line.to_str().ok());
    for entry in lines.flat_map(|line| line.split(',')).map(str::trim).filter(|e| !e.is_empty()) {
        if state.len() + 1 + entry.len() > MAX_TRACESTATE_BYTES {
            break;
        }
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(entry);
    }
    state
}
