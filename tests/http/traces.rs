//! O1: the trace of a request is the trace of its events.

use highwater::{
    Position, Query,
    domain::TraceContext,
    port::ReadFrom,
    trace::{self, Propagator},
};
use highwater_test_support::bank::banks;
use tracing::Instrument as _;

use crate::server::{Headers, post_with, router};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Returns the trace of the event that a deposit with these headers stores, and its state.
async fn stored(headers: Headers<'_>) -> Option<(String, Option<String>)> {
    let bank = banks().remove(0).open().await;
    let reply = post_with(&router(&bank), "/accounts/alice/deposits", headers, 7).await;
    assert_eq!(reply.status, 200, "a malformed trace is ignored");
    let page =
        bank.log().read_log(&Query::all(), ReadFrom::After(Position::START), 10).await.unwrap();
    let trace = page.events[0].trace()?;
    Some((trace.traceparent().to_owned(), trace.tracestate().map(ToOwned::to_owned)))
}

#[tokio::test]
async fn o1_a_command_belongs_to_the_trace_of_its_request() {
    let both: Headers<'_> =
        &[("traceparent", PARENT.as_bytes()), ("tracestate", b"a=1 "), ("tracestate", b",b=2")];
    let state = Some("a=1,b=2".to_owned());
    assert_eq!(stored(both).await, Some((PARENT.to_owned(), state)));
    assert_eq!(stored(&[]).await, None);
}

#[tokio::test]
async fn o1_a_trace_context_of_a_later_version_is_read_as_version_0() {
    let known = Some((PARENT.to_owned(), None));
    for newer in [PARENT.replacen("00-", "01-", 1), format!("cc{}-more", &PARENT[2..])] {
        assert_eq!(stored(&[("traceparent", newer.as_bytes())]).await, known, "{newer}");
    }
    let flags = format!("01{}ff", &PARENT[2..53]);
    assert_eq!(stored(&[("traceparent", flags.as_bytes())]).await, known);
}

#[tokio::test]
async fn o1_a_malformed_trace_context_is_ignored() {
    let odd = [
        String::new(),
        "x".to_owned(),
        PARENT.to_uppercase(),
        PARENT.replacen("00-", "ff-", 1),
        format!("{PARENT}-more"),
        format!("01{}+more", &PARENT[2..]),
        "é".repeat(40),
        "0".repeat(10_000),
    ];
    for odd in odd {
        let headers: Headers<'_> = &[("traceparent", odd.as_bytes()), ("tracestate", b"a=1")];
        assert_eq!(stored(headers).await, None, "{odd}");
    }
    let twice: Headers<'_> =
        &[("traceparent", PARENT.as_bytes()), ("traceparent", PARENT.as_bytes())];
    assert_eq!(stored(twice).await, None);
    // The state is truncated between entries, and an entry that is no text is ignored.
    let long = (0..100).map(|n| format!("vendor{n}=0123456789")).collect::<Vec<_>>().join(",");
    let headers: Headers<'_> = &[
        ("traceparent", PARENT.as_bytes()),
        ("tracestate", b"\xff=1"),
        ("tracestate", long.as_bytes()),
    ];
    let (_, state) = stored(headers).await.unwrap();
    let state = state.unwrap();
    assert!(state.len() <= 512 && long.starts_with(&format!("{state},")), "{state}");
}

const SERVING: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01";

/// A provider that knows the context of spans of one name only.
struct Serving;

impl Propagator for Serving {
    fn context_of(&self, span: &tracing::Span) -> Option<TraceContext> {
        let is_serving = span.metadata()?.name() == "serving";
        is_serving.then(|| TraceContext::new(SERVING).unwrap())
    }

    fn adopt(&self, _: &tracing::Span, _: &TraceContext) {}
}

#[tokio::test]
async fn o1_a_command_is_caused_by_the_span_of_its_request_if_that_belongs_to_the_trace() {
    let _subscribed = tracing::subscriber::set_default(tracing_subscriber::registry());
    trace::install(Serving).unwrap();
    let serving = || tracing::info_span!("serving");
    let sent: Headers<'_> = &[("traceparent", PARENT.as_bytes())];
    let handled = stored(sent).instrument(serving()).await;
    assert_eq!(handled, Some((SERVING.to_owned(), None)));
    let other = PARENT.replacen("4bf9", "5bf9", 1);
    let sent: Headers<'_> = &[("traceparent", other.as_bytes())];
    assert_eq!(stored(sent).instrument(serving()).await, Some((other.clone(), None)));
    assert_eq!(stored(sent).await, Some((other, None)));
}
