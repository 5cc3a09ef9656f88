//! One trace from the command to the read model (O1): work on a batch of events is shown in the trace of
//! each.

use highwater_core::{Envelope, trace};
use tracing::{Level, Span, span_enabled};

/// The maximum number of commands of a page whose traces get a span. Live pages are small; while a view
/// catches up, no reader waits for the single event.
const MAX_TRACED_COMMANDS: usize = 64;

/// A span in each trace of some events. The spans end when this is dropped.
pub(crate) struct Traces {
    _spans: Vec<Span>,
}

impl Traces {
    /// Creates a span for each trace from the first of its events. Its parent is the cause of that event,
    /// and it is linked to the current span. The span has an empty field `trace_id`.
    pub(crate) fn of(events: &[Envelope], make: impl Fn(&Envelope) -> Span) -> Self {
        let mut spans = Vec::new();
        if !span_enabled!(Level::INFO) {
            return Self { _spans: spans };
        }
        for event in first_of_commands(events).take(MAX_TRACED_COMMANDS) {
            let Some(cause) = event.trace() else { continue };
            let span = make(event);
            trace::adopt(&span, &cause);
            span.follows_from(Span::current());
            spans.push(span);
        }
        Self { _spans: spans }
    }
}

/// Returns the first event of each command that has metadata: the events of one command share it.
fn first_of_commands(events: &[Envelope]) -> impl Iterator<Item = &Envelope> {
    let mut last = None;
    events.iter().filter(move |event| {
        let is_first = !event.raw_metadata.is_empty() && last != Some(&event.raw_metadata);
        if is_first {
            last = Some(&event.raw_metadata);
        }
        is_first
    })
}
