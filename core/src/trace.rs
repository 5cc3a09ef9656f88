//! The relation of spans to traces that cross processes (O1).
//!
//! The spans are those of the crate `tracing`. What gives them ids in a trace, and sends them
//! somewhere, is the program's to choose; this is where it is asked.

use std::sync::OnceLock;

use tracing::Span;

use crate::{Result, domain::TraceContext, error::Invalid};

/// Knows which trace a span belongs to. Without one, a command belongs to the trace that its
/// [`Request::trace`](crate::Request::trace) names, and spans carry no more than its id.
pub trait Propagator: Send + Sync + 'static {
    /// The context of a span, to be handed on to what it causes.
    fn context_of(&self, span: &Span) -> Option<TraceContext>;

    /// Makes a span, which has not been entered, part of a trace: caused by this context.
    fn adopt(&self, span: &Span, cause: &TraceContext);
}

static PROPAGATOR: OnceLock<Box<dyn Propagator>> = OnceLock::new();

/// Installs what ties spans to traces, once for the process.
///
/// # Errors
/// [`Invalid`](crate::Error::Invalid) if there is one.
pub fn install(propagator: impl Propagator) -> Result<()> {
    PROPAGATOR.set(Box::new(propagator)).map_err(|_| {
        let message = "this process has a propagator of trace contexts already";
        Invalid::configuration(message).into()
    })
}

/// The context of a span, to be handed on to what it causes.
#[must_use]
pub fn context_of(span: &Span) -> Option<TraceContext> {
    PROPAGATOR.get()?.context_of(span)
}

/// Makes a span part of a trace: caused by this context. A field `trace_id` that it has left empty
/// says so to whoever reads logs.
pub fn adopt(span: &Span, cause: &TraceContext) {
    if span.is_disabled() {
        return;
    }
    span.record("trace_id", cause.trace_id());
    if let Some(propagator) = PROPAGATOR.get() {
        propagator.adopt(span, cause);
    }
}
