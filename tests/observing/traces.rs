//! One trace connects a command with the commit of the view (O1).

use axum::{Router, body::Body, http::Request as Sent, routing::get};
use highwater::{
    domain::TraceContext,
    http::{record_response, request_span},
    prelude::*,
};
use highwater_test_support::bank::{Account, Balance, Deposit, banks};
use tower::ServiceExt as _;
use tower_http::trace::TraceLayer;

use crate::spans::Spans;

/// Returns a context, and the id of its trace.
fn context() -> (TraceContext, String) {
    let id = format!("{:032x}", fastrand::u128(1..));
    (TraceContext::new(&format!("00-{id}-00f067aa0ba902b7-01")).unwrap(), id)
}

#[test]
fn o1_the_trace_of_a_command_is_that_of_the_views_commit_through_the_direct_feed() {
    for bank in banks() {
        let (spans, (trace, id)) = (Spans::default(), context());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _default = tracing::subscriber::set_default(spans.subscriber());
        runtime.block_on(async {
            let bank = bank.open().await;
            let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
            let deposit = Request::new(Deposit { cents: 1 }).trace(trace);
            let receipt = bank.aggregate::<Account>("alice").execute(deposit).await.unwrap();
            bank.view::<Balance>().get("alice").after(&receipt).await.unwrap();
            worker.stop().await.unwrap();
        });
        let commands = spans.of("command", &id);
        assert_eq!((commands.len(), &*commands[0].fields["name"]), (1, "deposit"));
        let commits = spans.of("commit", &id);
        assert_eq!(commits.len(), 1, "{commits:?}");
        assert_eq!(commits[0].fields["view"], "balances");
        assert_eq!(commits[0].fields["position"], "1");
    }
}

#[test]
fn o1_a_page_of_several_traces_links_to_each() {
    let spans = Spans::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _default = tracing::subscriber::set_default(spans.subscriber());
    let contexts: Vec<_> = (0..20).map(|_| context()).collect();
    runtime.block_on(async {
        let bank = banks()[0].open().await;
        let mut receipt = None;
        for (trace, _) in &contexts {
            let deposit = Request::new(Deposit { cents: 1 }).trace(trace.clone());
            receipt = Some(bank.aggregate::<Account>("alice").execute(deposit).await.unwrap());
        }
        let untraced = Deposit { cents: 1 };
        bank.aggregate::<Account>("alice").execute(untraced).await.unwrap();
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        bank.view::<Balance>().get("alice").after(receipt.unwrap()).await.unwrap();
        worker.stop().await.unwrap();
    });
    for (_, id) in &contexts {
        assert_eq!(spans.of("commit", id).len(), 1);
    }
}

#[test]
fn o1_the_span_of_a_request_has_its_method_its_route_its_trace_and_its_status() {
    let (spans, (trace, id)) = (Spans::default(), context());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _default = tracing::subscriber::set_default(spans.subscriber());
    let unavailable = get(|| async { axum::http::StatusCode::SERVICE_UNAVAILABLE });
    let accounts =
        Router::new().route("/{id}", get(|| async {})).route("/{id}/statement", unavailable);
    let traces =
        TraceLayer::new_for_http().make_span_with(request_span).on_response(record_response);
    let router = Router::new().nest("/accounts", accounts).layer(traces);
    let ask = |path: &str| {
        let request = Sent::get(path).header("traceparent", trace.traceparent());
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap());
        runtime.block_on(answer).unwrap().status().as_u16()
    };
    let paths = ["/accounts/alice", "/nowhere/alice", "/accounts/alice/statement"];
    assert_eq!(paths.map(ask), [200, 404, 503]);
    let requests = spans.of("request", &id);
    assert_eq!(requests.len(), 3, "{requests:?}");
    for request in &requests {
        assert_eq!(request.fields["method"], "GET");
        assert!(!format!("{request:?}").contains("alice"), "{request:?}");
    }
    assert_eq!(requests[0].fields["route"], "/accounts/{id}");
    assert_eq!(requests[1].fields.get("route"), None);
    let of_each = |field: &str| {
        let fields = requests.iter().map(|request| request.fields.get(field).map(String::as_str));
        fields.collect::<Vec<_>>()
    };
    assert_eq!(of_each("http.response.status_code"), [Some("200"), Some("404"), Some("503")]);
    assert_eq!(of_each("otel.status_code"), [None, None, Some("ERROR")]);
}

#[cfg(feature = "kafka")]
#[test]
fn o1_the_trace_of_a_command_is_that_of_the_views_commit_through_kafka() {
    use highwater::kafka::{Kafka, KafkaSource, Relay, Topics};

    let test = "o1_the_trace_of_a_command_is_that_of_the_views_commit_through_kafka";
    let Some(servers) = highwater_test_support::services::kafka_servers(test) else { return };
    for bank in banks() {
        let (spans, (trace, id)) = (Spans::default(), context());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _default = tracing::subscriber::set_default(spans.subscriber());
        let topics = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
        runtime.block_on(async {
            let bank = bank.open().await;
            let relay = Relay::new(&bank, Kafka::at(&servers), topics.clone()).partitions(1);
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let mut status = relay.status();
            let relay = tokio::spawn(relay.run(async { drop(stopped.await) }));
            let leads = |status: &highwater::kafka::RelayStatus| status.name() == "leading";
            status.wait_for(leads).await.unwrap();
            let source = KafkaSource::new(&bank, Kafka::at(&servers), topics);
            let worker = Worker::new(&bank).fed_by(source).view::<Balance>().start().await.unwrap();
            let deposit = Request::new(Deposit { cents: 1 }).trace(trace);
            let receipt = bank.aggregate::<Account>("alice").execute(deposit).await.unwrap();
            let wait = std::time::Duration::from_secs(60);
            bank.view::<Balance>().get("alice").after(&receipt).within(wait).await.unwrap();
            worker.stop().await.unwrap();
            stop.send(()).unwrap();
            relay.await.unwrap().unwrap();
        });
        for name in ["command", "publish", "commit"] {
            assert_eq!(spans.of(name, &id).len(), 1, "{name}");
        }
    }
}
