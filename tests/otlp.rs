//! Traces reach a collector by OTLP: one, from the caller's span to the view's commit (O1).
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::Request as Sending,
    routing::post,
};
use highwater_test_support::bank::{Account, Balance, Bank, Deposit, banks};

use highwater::{
    Token,
    domain::TraceContext,
    http::{CommandHeaders, Problem, ReceiptResponse, TOKEN, request_span},
    prelude::*,
    service::{Config, OtlpConfig, Service},
};
use tower::ServiceExt as _;
use tower_http::trace::TraceLayer;
use tracing::Instrument as _;

/// A collector that keeps all that it receives.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    fn start() -> (Self, SocketAddr) {
        let (collector, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let keeping = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let keeping = keeping.clone();
                thread::spawn(move || keeping.answer(stream.unwrap()));
            }
        });
        (collector, address)
    }

    /// Requests come one after the other on a connection, each with its length.
    fn answer(&self, stream: TcpStream) {
        let (mut reader, mut writer) = (BufReader::new(stream.try_clone().unwrap()), stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                self.0.lock().unwrap().extend(body);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                writer.write_all(answer).unwrap();
            }
            line.clear();
        }
    }

    /// Returns the spans of a trace. In OTLP a span begins with its trace id and its span id; then come the trace state
    /// and the parent's span id, both optional, and then the name.
    fn spans(&self, trace: &str) -> Vec<Sent> {
        let begin = [&[0x0a, 16], &*bytes(trace)].concat();
        let sent = self.0.lock().unwrap();
        let places = (0..sent.len()).filter(|place| sent[*place..].starts_with(&begin));
        places.filter_map(|place| Sent::read(&sent[place + begin.len()..])).collect()
    }

    /// Returns true if any exported request contains this text.
    fn has_text(&self, text: &str) -> bool {
        let sent = self.0.lock().unwrap();
        sent.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Returns true if this trace has a span of this name below this parent.
    fn has(&self, name: &str, context: &TraceContext) -> bool {
        let spans = self.spans(context.trace_id());
        spans.iter().any(|span| span.name == name && span.cause == Some(id_of(context)))
    }
}

/// A span that was sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    id: Vec<u8>,
    cause: Option<Vec<u8>>,
    name: String,
}

impl Sent {
    /// Returns `None` for a link to a span, which is no span itself.
    fn read(mut from: &[u8]) -> Option<Self> {
        let id = field(&mut from, 0x12)?.to_vec();
        field(&mut from, 0x1a);
        let cause = field(&mut from, 0x22).map(<[u8]>::to_vec);
        let name = std::str::from_utf8(field(&mut from, 0x2a)?).ok()?.to_owned();
        Some(Self { id, cause, name })
    }
}

/// Returns the content of the next field, if it has this tag. All fields read here are shorter than 128 bytes.
fn field<'a>(from: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&[found, length], rest) = from.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(length.into()).filter(|_| found == tag)?;
    *from = rest;
    Some(value)
}

fn id_of(context: &TraceContext) -> Vec<u8> {
    bytes(context.traceparent().split('-').nth(2).unwrap())
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2);
    digits.map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

/// Returns the trace context stored with the last event, which is that of its command's span.
async fn stored(bank: &Highwater) -> TraceContext {
    let last = bank.log().head().await.unwrap().get() - 1;
    let span = highwater::port::ReadFrom::After(highwater::Position::new(last));
    let page = bank.log().read_log(&Query::all(), span, 1).await.unwrap();
    page.events[0].trace().unwrap()
}

/// The spans that must be exported, each with its name and its parent.
type Wanted = Vec<(&'static str, TraceContext)>;

/// A service that exports to the collector of this process. Its log level is low, which must not affect the export.
fn service() -> (Service, &'static Collector) {
    static COLLECTOR: LazyLock<(Collector, SocketAddr)> = LazyLock::new(Collector::start);
    let (collector, address) = &*COLLECTOR;
    let mut config = Config::of("memory:");
    let (endpoint, service) = (format!("http://{address}"), "bank".to_owned());
    config.otlp = Some(OtlpConfig { endpoint, service, level: "info".into(), sample: 1.0 });
    config.log.level = "error".into();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    (Service::new(config).unwrap(), collector)
}

/// Shuts the service down, which exports the remaining spans.
async fn ended(service: Service) {
    service.run(std::future::ready(())).await.unwrap();
}

async fn through_the_direct_feed<T>(bank: &Bank, work: impl AsyncFnOnce(&Highwater) -> T) -> T {
    let bank = bank.open().await;
    let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
    let done = work(&bank).await;
    worker.stop().await.unwrap();
    done
}

#[cfg(feature = "kafka")]
async fn through_kafka<T>(
    bank: &Bank,
    servers: &str,
    work: impl AsyncFnOnce(&Highwater) -> T,
) -> T {
    use highwater::kafka::{Kafka, KafkaSource, Relay, Topics};

    let bank = bank.open().await;
    let topics = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
    let relay = Relay::new(&bank, Kafka::at(servers), topics.clone()).partitions(1);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut status = relay.status();
    let relay = tokio::spawn(relay.run(async { drop(stopped.await) }));
    status.wait_for(|status| status.name() == "leading").await.unwrap();
    let source = KafkaSource::new(&bank, Kafka::at(servers), topics);
    let worker = Worker::new(&bank).fed_by(source).view::<Balance>().start().await.unwrap();
    let done = work(&bank).await;
    worker.stop().await.unwrap();
    stop.send(()).unwrap();
    relay.await.unwrap().unwrap();
    done
}

/// Returns the context of a remote caller, in a new trace.
fn somebody() -> TraceContext {
    let id = format!("{:032x}", fastrand::u128(1..));
    TraceContext::new(&format!("00-{id}-00f067aa0ba902b7-01")).unwrap()
}

/// Sends a command in the caller's trace, and one in a span of this process.
async fn command_and_read(bank: &Highwater, names: &[&'static str]) -> Wanted {
    let caller = somebody();
    let deposit = Request::new(Deposit { cents: 1 }).trace(caller.clone());
    bank.aggregate::<Account>("alice").execute(deposit).await.unwrap();
    let command = stored(bank).await;
    assert_eq!(command.trace_id(), caller.trace_id());
    assert_ne!(command, caller, "what follows is caused by the command's span");

    let request = tracing::info_span!("request");
    let of_request = highwater::trace::context_of(&request).unwrap();
    let alice = bank.aggregate::<Account>("alice");
    let receipt = alice.execute(Deposit { cents: 1 }).instrument(request).await.unwrap();
    let of_command = stored(bank).await;
    assert_eq!(of_command.trace_id(), of_request.trace_id());

    let lookup = bank.view::<Balance>().get("alice").after(&receipt);
    lookup.within(Duration::from_secs(60)).await.unwrap();
    let mut wanted = vec![("command", caller), ("command", of_request)];
    for cause in [command, of_command] {
        wanted.push(("append", cause.clone()));
        wanted.extend(names.iter().map(|name| (*name, cause.clone())));
    }
    wanted
}

/// Serves the bank over HTTP, with a span for each request.
fn router(bank: &Highwater) -> Router {
    let traces = TraceLayer::new_for_http().make_span_with(request_span);
    let routes = Router::new().route("/accounts/{id}/deposits", post(deposit));
    routes.layer(traces).with_state(bank.clone())
}

async fn deposit(
    State(bank): State<Highwater>,
    Path(id): Path<String>,
    intent: CommandHeaders,
) -> Result<ReceiptResponse, Problem> {
    let account = bank.aggregate::<Account>(id);
    Ok(intent.answer(account.execute(intent.request(Deposit { cents: 1 })).await?))
}

/// Returns the expected spans of a request: the caller's if there is one, the command's, and those below it.
struct Journey {
    caller: Option<TraceContext>,
    command: TraceContext,
    names: &'static [&'static str],
}

/// Sends two requests, one of them within a trace of its caller, and waits until the view has the effect of each.
async fn request_and_read(bank: &Highwater, names: &'static [&'static str]) -> [Journey; 2] {
    [request(bank, Some(somebody()), names).await, request(bank, None, names).await]
}

async fn request(
    bank: &Highwater,
    caller: Option<TraceContext>,
    names: &'static [&'static str],
) -> Journey {
    let mut sending = Sending::post("/accounts/alice/deposits");
    if let Some(caller) = &caller {
        sending = sending.header("traceparent", caller.traceparent());
    }
    let answer = router(bank).oneshot(sending.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let token: Token = answer.headers()[TOKEN].to_str().unwrap().parse().unwrap();
    let lookup = bank.view::<Balance>().get("alice").after(&token);
    lookup.within(Duration::from_secs(60)).await.unwrap();
    Journey { caller, command: stored(bank).await, names }
}

impl Journey {
    /// Checks that it is one trace: the spans of relay and worker have the command as their cause, the command has the
    /// request, and the request has the caller, or no cause.
    fn is_one_trace(&self, collector: &Collector) {
        let (spans, id) = (collector.spans(self.command.trace_id()), id_of(&self.command));
        let the = |name: &str| {
            let named: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
            assert_eq!(named.len(), 1, "{name}: {spans:?}");
            named[0]
        };
        let (request, command) = (the("request"), the("command"));
        assert_eq!(request.cause, self.caller.as_ref().map(id_of), "{spans:?}");
        assert_eq!((&command.id, &command.cause), (&id, &Some(request.id.clone())), "{spans:?}");
        assert_eq!(the("append").cause, Some(id.clone()), "{spans:?}");
        for name in self.names {
            // More than one if the step was retried.
            let mut named = spans.iter().filter(|span| span.name == *name).peekable();
            assert!(named.peek().is_some(), "{name}: {spans:?}");
            assert!(named.all(|span| span.cause.as_ref() == Some(&id)), "{name}: {spans:?}");
        }
        let trace = self.caller.as_ref().map_or(self.command.trace_id(), TraceContext::trace_id);
        assert_eq!(self.command.trace_id(), trace);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o1_one_trace_reaches_a_collector_from_the_callers_span_to_the_views_commit() {
    let (service, collector) = service();
    let mut wanted = Wanted::new();
    for bank in banks() {
        let work = async |bank: &Highwater| command_and_read(bank, &["commit"]).await;
        wanted.extend(through_the_direct_feed(&bank, work).await);
    }
    #[cfg(feature = "kafka")]
    if let Some(servers) = highwater_test_support::services::kafka_servers("a trace through Kafka")
    {
        for bank in banks() {
            let work =
                async |bank: &Highwater| command_and_read(bank, &["publish", "commit"]).await;
            wanted.extend(through_kafka(&bank, &servers, work).await);
        }
    }
    ended(service).await;
    for (name, cause) in wanted {
        assert!(collector.has(name, &cause), "{name} caused by {cause}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o1_one_trace_reaches_a_collector_from_the_http_request_to_the_views_commit() {
    let (service, collector) = service();
    let mut journeys = Vec::new();
    for bank in banks() {
        let work = async |bank: &Highwater| request_and_read(bank, &["commit"]).await;
        journeys.extend(through_the_direct_feed(&bank, work).await);
    }
    #[cfg(feature = "kafka")]
    if let Some(servers) =
        highwater_test_support::services::kafka_servers("a request through Kafka")
    {
        for bank in banks() {
            let work =
                async |bank: &Highwater| request_and_read(bank, &["publish", "commit"]).await;
            journeys.extend(through_kafka(&bank, &servers, work).await);
        }
    }
    ended(service).await;
    journeys.iter().for_each(|journey| journey.is_one_trace(collector));
}

#[tokio::test(flavor = "multi_thread")]
async fn o1_o5_spans_that_are_exported_have_a_level_independent_of_the_log() {
    let (service, collector) = service();
    let (caller, span) = (somebody(), tracing::info_span!("sent"));
    highwater::trace::adopt(&span, &caller);
    span.in_scope(|| tracing::debug_span!("left out").in_scope(|| tracing::info_span!("inner")));
    drop(span);
    assert!(!tracing::enabled!(tracing::Level::DEBUG), "no layer records it");
    let most = tracing::level_filters::LevelFilter::current();
    assert_eq!(most, tracing::level_filters::LevelFilter::INFO, "what asks first is told so");
    ended(service).await;
    let sent = collector.spans(caller.trace_id());
    let mut names: Vec<_> = sent.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["inner", "sent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_log_events_within_a_span_are_not_exported_with_it() {
    let (service, collector) = service();
    let (caller, span) = (somebody(), tracing::info_span!("around"));
    highwater::trace::adopt(&span, &caller);
    span.in_scope(|| {
        tracing::info!("held back");
        tracing::error!(error = "of the account alice", "logged, not sent");
    });
    drop(span);
    ended(service).await;
    assert!(collector.has("around", &caller));
    for logged in ["held back", "of the account alice", "logged, not sent"] {
        assert!(!collector.has_text(logged), "{logged}");
    }
}

#[test]
fn o5_a_wrong_level_of_spans_or_logs_is_refused_with_the_name_of_its_key() {
    let wrong = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::of("memory:");
        let (endpoint, service) = ("http://127.0.0.1:1".to_owned(), "bank".to_owned());
        config.otlp = Some(OtlpConfig { endpoint, service, level: "info".into(), sample: 1.0 });
        change(&mut config);
        let error = Service::new(config).err().unwrap();
        assert_eq!(error.code(), highwater::Code::BAD_CONFIGURATION);
        error.to_string()
    };
    let spans = wrong(&|config| config.otlp.as_mut().unwrap().level = "chatty=loud".into());
    assert!(spans.contains("the key otlp.level "), "{spans}");
    let logs = wrong(&|config| config.log.level = "chatty=loud".into());
    assert!(logs.contains("the key log.level "), "{logs}");
}
