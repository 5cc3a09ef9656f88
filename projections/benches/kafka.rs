//! How fast the relay publishes and a feed delivers, beside a bare producer in the same run.
//!
//! `HIGHWATER_TEST_KAFKA=HOST:PORT cargo bench -p highwater-projections --features kafka --bench kafka`
#![allow(clippy::panic, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use highwater_core::{
    Highwater, Position, Query, SchemaVersion, StreamId, Tags,
    domain::{EventType, Fingerprint},
    port::{
        Append, EventStore as _, Expected, Feed, Feeding, Ids as _, Layout, NewEvent, Progress,
        ShardId, Source as _, ViewName, WorkerId,
    },
};
use highwater_projections::kafka::{Kafka, KafkaSource, Relay, RelayStatus, Topics};
use highwater_stores::{MemoryStore, SystemClock, SystemIds};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

const EVENTS: usize = 400_000;
const PARTITIONS: u32 = 12;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let Ok(kafka) = env::var("HIGHWATER_TEST_KAFKA") else {
        println!("HIGHWATER_TEST_KAFKA names no broker");
        return;
    };
    let store = Arc::new(MemoryStore::default());
    fill(&store).await;
    let highwater = Highwater::on(&store, SystemClock, SystemIds).build();
    for round in 1..=3 {
        let raw = raw(&kafka, false).await;
        let same = self::raw(&kafka, true).await;
        let (topic, relay) = relay(&kafka, &highwater).await;
        let feed = feed(&kafka, &highwater, &topic).await;
        println!(
            "round {round}: producer {raw:.0}/s, with as many headers {same:.0}/s, relay {relay:.0}/s \
             ({:.0} %, {:.0} %), feed of all partitions {feed:.0}/s",
            100.0 * relay / raw,
            100.0 * relay / same
        );
    }
    latency(&kafka).await;
}

/// From the append to the feed of all the partitions, which waits for marks, at 1,000 events a second.
async fn latency(kafka: &str) {
    const COUNT: usize = 5_000;
    let store = Arc::new(MemoryStore::default());
    let highwater = Highwater::on(&store, SystemClock, SystemIds).build();
    let topic = topic();
    let name = topic.replace('-', "_");
    let relay = Relay::new(&highwater, Kafka::at(kafka), Topics::one(&topic)).named(name);
    let mut status = relay.status();
    tokio::spawn(relay.run(std::future::pending()));
    append(&store, 0).await;
    let first = Position::new(1);
    let is_there = |status: &RelayStatus| matches!(status, RelayStatus::Leading { published } if *published >= first);
    status.wait_for(is_there).await.unwrap();
    let mut feed = open(kafka, &highwater, &topic).await;
    feed.next(1).await.unwrap();
    let began = Instant::now();
    let appending = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        let mut appended = Vec::with_capacity(COUNT);
        for number in 1..=COUNT {
            ticks.tick().await;
            appended.push(began.elapsed());
            append(&store, number).await;
        }
        appended
    });
    let mut arrived = Vec::with_capacity(COUNT);
    while arrived.len() < COUNT {
        let page = feed.next(5_000).await.unwrap();
        arrived.extend(page.events.iter().map(|_| began.elapsed()));
    }
    let appended = appending.await.unwrap();
    let mut took: Vec<_> = arrived.iter().zip(&appended).map(|(to, from)| *to - *from).collect();
    took.sort_unstable();
    let [half, most] = [COUNT / 2, COUNT * 99 / 100].map(|place| took[place]);
    println!("from append to feed: p50 {half:?}, p99 {most:?}");
}

async fn append(store: &MemoryStore, number: usize) {
    let stream = StreamId::new("account", number % 1_000).unwrap();
    let append = Append::new(SystemIds.command_id(), Fingerprint::from_bits(7));
    let events = vec![event(number)];
    store.append(append.stream(stream, Expected::Any, events)).await.unwrap();
}

fn event(number: usize) -> NewEvent {
    NewEvent {
        id: SystemIds.event_id(),
        event_type: EventType { name: "account.deposited", version: SchemaVersion::FIRST },
        tags: Tags::none(),
        payload: payload(number),
    }
}

fn payload(number: usize) -> Bytes {
    let noise = fastrand::u64(..);
    let text = format!("{{\"number\":{number},\"noise\":\"{noise:016x}\",\"owner\":\"");
    let fill: String =
        std::iter::repeat_with(fastrand::alphanumeric).take(148 - text.len()).collect();
    format!("{text}{fill}\"}}").into()
}

async fn fill(store: &MemoryStore) {
    for number in 0..EVENTS / 10 {
        let stream = StreamId::new("account", number % 1_000).unwrap();
        let events = (0..10).map(|part| event(number * 10 + part)).collect();
        let append = Append::new(SystemIds.command_id(), Fingerprint::from_bits(7));
        store.append(append.stream(stream, Expected::Any, events)).await.unwrap();
    }
}

fn topic() -> String {
    format!("bench-{:016x}", fastrand::u64(..))
}

/// A producer that is asked for the same durability. It sends key and payload alone, or with headers
/// that are as many and as long as those of the relay.
async fn raw(kafka: &str, with_headers: bool) -> f64 {
    let topic = topic();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let new = NewTopic::new(&topic, PARTITIONS as i32, TopicReplication::Fixed(1));
    admin.create_topics([&new], &AdminOptions::new()).await.unwrap();
    config.set("enable.idempotence", "true");
    if with_headers {
        config.set("compression.type", "lz4").set("linger.ms", "1");
    }
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    let payloads: Vec<_> = (0..EVENTS).map(payload).collect();
    let keys: Vec<_> = (0..1_000).map(|number| format!("account-{number}")).collect();
    let layout = Layout::streams(PARTITIONS);
    let began = Instant::now();
    for (number, payload) in payloads.iter().enumerate() {
        let key = &keys[number % 1_000];
        let mut record = BaseRecord::<str, [u8], _>::to(&topic)
            .partition(layout.shard_of(key).get() as i32)
            .key(key)
            .payload(payload);
        record.headers = with_headers.then(|| headers(number));
        loop {
            record = match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
                Err((error, _)) => panic!("{error}"),
            };
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    EVENTS as f64 / began.elapsed().as_secs_f64()
}

fn headers(number: usize) -> OwnedHeaders {
    let (number, id) = (number.to_string(), SystemIds.event_id().to_string());
    let all = [
        ("ce_position", number.as_str()),
        ("ce_previous", &number),
        ("ce_type", "account.deposited"),
        ("ce_time", "2026-01-02T03:04:05.123456789Z"),
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", "/highwater/bench_0123456789abcdef"),
        ("ce_subject", "account-500"),
        ("content-type", "application/json"),
        ("ce_streamversion", "400"),
        ("ce_schemaversion", "1"),
        ("ce_commandid", &id),
    ];
    all.iter().fold(OwnedHeaders::new_with_capacity(12), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(*value) })
    })
}

async fn relay(kafka: &str, highwater: &Highwater) -> (String, f64) {
    let topic = topic();
    let name = topic.replace('-', "_");
    let mut to = Kafka::at(kafka);
    // For example HIGHWATER_BENCH_SETTINGS=linger.ms=5,compression.type=none
    let settings = env::var("HIGHWATER_BENCH_SETTINGS").unwrap_or_default();
    for (name, value) in settings.split(',').filter_map(|setting| setting.split_once('=')) {
        to = to.setting(name, value);
    }
    let relay = Relay::new(highwater, to, Topics::one(&topic)).named(name).partitions(PARTITIONS);
    let mut status = relay.status();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(relay.run(async { drop(stopped.await) }));
    status.wait_for(|status| matches!(status, RelayStatus::Leading { .. })).await.unwrap();
    let began = Instant::now();
    let end = Position::new(EVENTS as u64);
    status
        .wait_for(
            |status| matches!(status, RelayStatus::Leading { published } if *published >= end),
        )
        .await
        .unwrap();
    let rate = EVENTS as f64 / began.elapsed().as_secs_f64();
    stop.send(()).unwrap();
    task.await.unwrap().unwrap();
    (topic, rate)
}

async fn feed(kafka: &str, highwater: &Highwater, topic: &str) -> f64 {
    let began = Instant::now();
    let mut feed = open(kafka, highwater, topic).await;
    let (mut events, mut through) = (0, Position::START);
    while through < Position::new(EVENTS as u64) {
        let page = feed.next(5_000).await.unwrap();
        events += page.events.len();
        through = page.through;
    }
    assert_eq!(events, EVENTS);
    EVENTS as f64 / began.elapsed().as_secs_f64()
}

async fn open(kafka: &str, highwater: &Highwater, topic: &str) -> Box<dyn Feed> {
    let source = KafkaSource::new(highwater, Kafka::at(kafka), Topics::one(topic));
    let feeding = Feeding {
        view: ViewName::new("bench").unwrap(),
        query: Query::all(),
        worker: WorkerId::new("bench"),
        layout: Layout::WHOLE,
    };
    let mut membership = source.join(feeding).await.unwrap();
    membership.open(ShardId::FIRST, &Progress::default()).await.unwrap()
}
