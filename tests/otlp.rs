//! Traces reach a collector by OTLP: one, from the caller's span to the view's commit (O1).
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bank;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bank::{Account, Balance, Bank, Deposit, banks};
use highwater::{
    TraceContext,
    prelude::*,
    service::{Config, OtlpConfig, Service},
};
use tracing::Instrument as _;

/// Keeps what is sent to it.
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

    /// Whether a span of this name is there, in this trace and caused by this span. In OTLP a span
    /// begins with the ids of its trace, of itself and of its cause, and its name follows.
    fn has(&self, name: &str, context: &TraceContext) -> bool {
        let ids: Vec<_> = context.traceparent().split('-').map(bytes).collect();
        let (trace, cause) = (&ids[1], &ids[2]);
        let sent = self.0.lock().unwrap();
        let begins = |place: &usize| sent[*place..].starts_with(trace);
        (0..sent.len()).filter(begins).any(|begin| {
            let span = &sent[begin..sent.len().min(begin + 200)];
            let place = |text: &[u8]| span.windows(text.len()).position(|found| found == text);
            match (place(cause), place(name.as_bytes())) {
                (Some(cause), Some(name)) => cause < name && name < 64,
                _ => false,
            }
        })
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2);
    digits.map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

/// The context that is stored with the last event: that of its command's span.
async fn stored(bank: &Highwater) -> TraceContext {
    let last = bank.log().head().await.unwrap().get() - 1;
    let span = highwater::Span::After(highwater::Position::new(last));
    let page = bank.log().read_log(&Query::all(), span, 1).await.unwrap();
    page.events[0].trace().unwrap()
}

/// Spans that must be sent: each with its name and what has caused it.
type Wanted = Vec<(&'static str, TraceContext)>;

async fn through_the_direct_feed(bank: &Bank) -> Wanted {
    let bank = bank.open().await;
    let worker = Worker::on(&bank).view::<Balance>().start().await.unwrap();
    let wanted = command_and_read(&bank, &["commit"]).await;
    worker.stop().await.unwrap();
    wanted
}

/// A command in a trace of the caller's, and one in a span of this process.
async fn command_and_read(bank: &Highwater, names: &[&'static str]) -> Wanted {
    let id = format!("{:032x}", fastrand::u128(1..));
    let caller = TraceContext::new(&format!("00-{id}-00f067aa0ba902b7-01")).unwrap();
    let deposit = Request::new(Deposit { cents: 1 }).trace(caller.clone());
    bank.aggregate::<Account>("alice").execute(deposit).await.unwrap();
    let command = stored(bank).await;
    assert_eq!(command.trace_id(), id);
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

#[cfg(feature = "kafka")]
async fn through_kafka(bank: &Bank, servers: &str) -> Wanted {
    use highwater::projections::kafka::{Kafka, KafkaSource, Relay, Topics};

    let bank = bank.open().await;
    let topics = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
    let relay = Relay::new(&bank, Kafka::at(servers), topics.clone()).partitions(1);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut status = relay.status();
    let relay = tokio::spawn(relay.run(async { drop(stopped.await) }));
    status.wait_for(|status| status.name() == "leading").await.unwrap();
    let source = KafkaSource::new(&bank, Kafka::at(servers), topics);
    let worker = Worker::on(&bank).fed_by(source).view::<Balance>().start().await.unwrap();
    let wanted = command_and_read(&bank, &["publish", "commit"]).await;
    worker.stop().await.unwrap();
    stop.send(()).unwrap();
    relay.await.unwrap().unwrap();
    wanted
}

#[tokio::test(flavor = "multi_thread")]
async fn o1_one_trace_reaches_a_collector_from_the_callers_span_to_the_views_commit() {
    let (collector, address) = Collector::start();
    let mut config = Config::of("memory:");
    let (endpoint, service) = (format!("http://{address}"), "bank".to_owned());
    config.otlp = Some(OtlpConfig { endpoint, service, sample: 1.0 });
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    let service = Service::new(config).unwrap();
    let mut wanted = Wanted::new();
    for bank in banks() {
        wanted.extend(through_the_direct_feed(&bank).await);
    }
    #[cfg(feature = "kafka")]
    if let Some(servers) = bank::skipped::broker("a trace through Kafka") {
        for bank in banks() {
            wanted.extend(through_kafka(&bank, &servers).await);
        }
    }
    // Its end sends what is left.
    service.run(std::future::ready(())).await.unwrap();
    for (name, cause) in wanted {
        assert!(collector.has(name, &cause), "{name} caused by {cause}");
    }
}
