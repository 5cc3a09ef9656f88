//! One trace from the command to the read model (O1): work on many events at once is seen in the trace
//! of each.

use highwater_core::{Envelope, trace};
use tracing::{Level, Span, span_enabled};

/// The events of how many commands are looked at in a page, at the most. Live pages are small; when a view
/// catches up, nobody waits for the single event.
const AT_MOST: usize = 64;

/// A span in each of the traces that some events belong to. They end when this is dropped.
pub(crate) struct Traces {
    _spans: Vec<Span>,
}

impl Traces {
    /// Makes a span for each trace with the first of its events, caused by what caused that event, and
    /// linked to the present span. The span has an empty field `trace_id`.
    pub(crate) fn of(events: &[Envelope], make: impl Fn(&Envelope) -> Span) -> Self {
        let mut spans = Vec::new();
        if !span_enabled!(Level::INFO) {
            return Self { _spans: spans };
        }
        for event in first_of_commands(events).take(AT_MOST) {
            let Some(cause) = event.trace() else { continue };
            let span = make(event);
            trace::adopt(&span, &cause);
            span.follows_from(Span::current());
            spans.push(span);
        }
        Self { _spans: spans }
    }
}

/// The first event of each command that has metadata: those of one command share it.
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
