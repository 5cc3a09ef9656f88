//! The relation of spans to traces that cross processes (O1).
//!
//! The spans are those of the crate `tracing`. The program chooses the library that gives them ids
//! in a trace and exports them, and installs it here as a [`Propagator`].

use std::sync::OnceLock;

use tracing::Span;

use crate::{Result, domain::TraceContext, error::Invalid};

/// The link between spans and traces. Without one, a command belongs to the trace that its
/// [`Request::trace`](crate::Request::trace) names, and spans carry no more than its id.
pub trait Propagator: Send + Sync + 'static {
    /// Returns the trace context of a span, to be passed on to the work that it causes.
    fn context_of(&self, span: &Span) -> Option<TraceContext>;

    /// Makes a span that has not been entered part of a trace, as caused by this context.
    fn adopt(&self, span: &Span, cause: &TraceContext);
}

static PROPAGATOR: OnceLock<Box<dyn Propagator>> = OnceLock::new();

/// Installs the propagator of the process, once.
///
/// # Errors
/// [`Invalid`](crate::Error::Invalid) if one is installed already.
pub fn install(propagator: impl Propagator) -> Result<()> {
    PROPAGATOR.set(Box::new(propagator)).map_err(|_| {
        let message = "this process has a propagator of trace contexts already";
        Invalid::configuration(message).into()
    })
}

/// Returns the trace context of a span, to be passed on to the work that it causes.
#[must_use]
pub fn context_of(span: &Span) -> Option<TraceContext> {
    PROPAGATOR.get()?.context_of(span)
}

/// Makes a span part of a trace, as caused by this context. Records the id of the trace in the
/// field `trace_id`, if the span has left it empty, for readers of logs.
pub fn adopt(span: &Span, cause: &TraceContext) {
    if span.is_disabled() {
        return;
    }
    span.record("trace_id", cause.trace_id());
    if let Some(propagator) = PROPAGATOR.get() {
        propagator.adopt(span, cause);
    }
}
