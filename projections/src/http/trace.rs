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

use super::only;

/// How much of `tracestate` is kept, as much as the standard asks for: it is stored with every event.
const LONGEST: usize = 512;

/// The span of a request: with its method and its route, and in the trace that its `traceparent` names, or else the
/// first of one. What the handler does is in it, commands too.
///
/// It is made for `TraceLayer` of the crate `tower-http`, on a router that has its routes; [`answered`] writes into it
/// how it ended:
/// `TraceLayer::new_for_http().make_span_with(request_span).on_response(answered).on_failure(())`.
/// The last of these is because `tower-http` logs every 5xx as an error unless told otherwise, which one that tells a
/// client to come again is not; what has failed is logged where its problem is made.
///
/// The trace is the caller's to choose, and with it whether it is sampled: where callers are not trusted, an edge has to
/// take `traceparent` away.
#[must_use]
pub fn request_span<B>(request: &Request<B>) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        method = %request.method(),
        // Never the path: what is in it has too many values, and may be somebody's.
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

/// Writes the status of an answer into the span of its request; with a 5xx the span is an error (O1). It is made for
/// `on_response` of the same layer as [`request_span`].
pub fn answered<B>(response: &Response<B>, _took: Duration, span: &Span) {
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace that a request belongs to. One that can't be understood is passed over, as
/// [the standard](https://www.w3.org/TR/trace-context/) has it: the command then begins a trace of its own.
pub(super) fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let parent = only(headers, "traceparent").ok()??;
    let trace = TraceContext::new(parent).ok().or_else(|| newer(parent))?;
    let state = state(headers);
    Some(if state.is_empty() { trace } else { trace.with_state(state) })
}

/// What causes a command in this trace: the span that handles the request, if it belongs to the trace itself; else
/// whoever has sent the request.
pub(super) fn nearest(sent: &TraceContext) -> TraceContext {
    let handling = context_of(&Span::current());
    handling.filter(|own| own.trace_id() == sent.trace_id()).unwrap_or_else(|| sent.clone())
}

/// What a later version of the header is to one that knows the first: its first four fields, of which the last
/// is cut to the one flag that is known.
fn newer(parent: &str) -> Option<TraceContext> {
    let (fields, rest) = parent.split_at_checked(55)?;
    let version = fields.get(..2).filter(|version| !matches!(*version, "00" | "ff"))?;
    let is_version = version.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let goes_on = rest.is_empty() || rest.starts_with('-');
    let flags = u8::from_str_radix(fields.get(53..)?, 16).ok()? & 1;
    let known = format!("00{}{flags:02x}", fields.get(2..53)?);
    TraceContext::new(&known).ok().filter(|_| is_version && goes_on)
}

/// The entries of all lines, from the first on, as many as there is room for.
fn state(headers: &HeaderMap) -> String {
    let mut state = String::new();
    let lines = headers.get_all("tracestate").iter().filter_map(|line| line.to_str().ok());
    for entry in lines.flat_map(|line| line.split(',')).map(str::trim).filter(|e| !e.is_empty()) {
        if state.len() + 1 + entry.len() > LONGEST {
            break;
        }
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(entry);
    }
    state
}
