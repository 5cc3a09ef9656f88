//! Kafka by hand: an idempotent producer, and a consumer that decodes its records.

use std::time::{Duration, Instant};

use highwater::value::Sharding;
use highwater_benches::{Board, Pace, Paced, Routine, Spot, wait};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use uuid::Uuid;

use crate::{
    domain::{ACCOUNTS, memo},
    raw_postgres::{Deposited, Pool},
};

/// The number of partitions of a topic.
pub(crate) const PARTITIONS: u32 = 12;

/// The headers that a producer sends with key and payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Headers {
    /// Headers of the number and length of a relay's.
    LikeOurs,
    None,
}

pub(crate) fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

/// Creates a topic with an unused name.
pub(crate) async fn topic(servers: &str) -> String {
    let topic = format!("bench_{:016x}", fastrand::u64(..));
    let new = NewTopic::new(&topic, PARTITIONS.cast_signed(), TopicReplication::Fixed(1));
    admin(servers).create_topics([&new], &AdminOptions::new()).await.unwrap();
    topic
}

/// Waits for the disk, so that the next measurement does not share it with the previous one.
pub(crate) async fn forget(servers: &str, topic: &str) {
    admin(servers).delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
}

fn admin(servers: &str) -> AdminClient<DefaultClientContext> {
    config(servers).create().unwrap()
}

/// Sends records to a new topic, until all are acknowledged by all replicas.
pub(crate) fn produces(servers: &str, headers: Headers, events: u64) -> impl Routine + use<> {
    let servers = servers.to_owned();
    let records: Vec<_> = (0..events).map(|number| (key(number), payload(number))).collect();
    move |times| {
        let produce = |_| {
            let topic = wait(topic(&servers));
            let began = Instant::now();
            let producer = producer(&servers, "1");
            for (number, (key, payload)) in (0..).zip(&records) {
                send(&producer, &topic, key, payload, headers, number);
            }
            producer.flush(Duration::from_secs(60)).unwrap();
            let took = began.elapsed();
            wait(forget(&servers, &topic));
            took
        };
        (0..times).map(produce).sum()
    }
}

/// Returns a producer with the settings of a relay that matter for speed.
fn producer(servers: &str, linger: &str) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = config(servers);
    config.set("enable.idempotence", "true").set("compression.type", "lz4");
    config.set("linger.ms", linger).create().unwrap()
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    key: &str,
    payload: &[u8],
    headers: Headers,
    number: u64,
) {
    let partition = Sharding::by_stream(PARTITIONS).shard_of(key).get().cast_signed();
    let mut record =
        BaseRecord::<str, [u8], _>::to(topic).partition(partition).key(key).payload(payload);
    record.headers = (headers == Headers::LikeOurs).then(|| like_ours(number));
    loop {
        record = match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
            Err((error, _)) => panic!("{error}"),
        };
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn key(number: u64) -> String {
    format!("account-{}", number % ACCOUNTS)
}

fn payload(number: u64) -> Vec<u8> {
    serde_json::to_vec(&Deposited { cents: 1, memo: memo(number) }).unwrap()
}

fn like_ours(number: u64) -> OwnedHeaders {
    let [id, command] = [Uuid::now_v7(), Uuid::now_v7()].map(|id| id.to_string());
    let [number, subject] = [number.to_string(), key(number)];
    let all = [
        ("ce_position", number.as_str()),
        ("ce_previous", &number),
        ("ce_type", "account.deposited"),
        ("ce_time", "2026-01-02T03:04:05.123456Z"),
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", "/highwater/bench_0123456789abcdef"),
        ("ce_subject", &subject),
        ("content-type", "application/json"),
        ("ce_streamversion", "123"),
        ("ce_schemaversion", "1"),
        ("ce_commandid", &command),
    ];
    all.iter().fold(OwnedHeaders::new_with_capacity(12), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(*value) })
    })
}

/// Reads a number of events from the beginning of a topic, and decodes them.
pub(crate) fn consumes(servers: &str, topic: &str, events: u64) -> impl Routine + use<> {
    let (servers, topic) = (servers.to_owned(), topic.to_owned());
    move |times| (0..times).map(|_| consume(&servers, &topic, events)).sum()
}

fn consume(servers: &str, topic: &str, events: u64) -> Duration {
    let began = Instant::now();
    let consumer: BaseConsumer = config(servers).set("group.id", "by_hand").create().unwrap();
    consumer.assign(&beginning(topic)).unwrap();
    let (mut balance, mut bytes) = (0, 0);
    while balance < events.cast_signed() {
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        let (cents, length) = decode(&message.unwrap());
        (balance, bytes) = (balance + cents, bytes + length);
    }
    assert!(balance == events.cast_signed() && bytes > 0);
    began.elapsed()
}

/// Returns every partition of a topic, from its first record.
fn beginning(topic: &str) -> TopicPartitionList {
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS.cast_signed() {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    all
}

/// Marks have no payload.
fn decode(message: &BorrowedMessage<'_>) -> (i64, usize) {
    let Some(payload) = message.payload().filter(|payload| !payload.is_empty()) else {
        return (0, 0);
    };
    let headers = message.headers().unwrap();
    let bytes = headers.iter().map(|header| std::str::from_utf8(header.value.unwrap()).unwrap());
    let event: Deposited = serde_json::from_slice(payload).unwrap();
    (event.cents, bytes.map(str::len).sum())
}

/// A writer that produces each insert after its commit.
pub(crate) async fn paced(url: &str, servers: &str, per_second: u32) -> Pace<Publishing> {
    let (publishing, consumer) = connected(url, servers).await;
    let board = Board::default();
    Pace::start(per_second, publishing, &board, see(consumer, board.clone()))
}

/// Returns both clients once they are connected to the broker.
pub(crate) async fn connected(url: &str, servers: &str) -> (Publishing, StreamConsumer) {
    let topic = topic(servers).await;
    let consumer: StreamConsumer =
        config(servers).set("group.id", format!("by_hand_{topic}")).create().unwrap();
    consumer.assign(&beginning(&topic)).unwrap();
    let publishing =
        Publishing { pool: Pool::open(url).await, producer: producer(servers, "0"), topic };
    publishing.publish(FIRST);
    consumer.recv().await.unwrap();
    (publishing, consumer)
}

/// A number without a row.
const FIRST: u64 = u64::MAX >> 1;

pub(crate) struct Publishing {
    pool: Pool,
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Publishing {
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn publish(&self, number: u64) {
        let event = Deposited { cents: number.cast_signed(), memo: memo(number) };
        let payload = serde_json::to_vec(&event).unwrap();
        send(&self.producer, &self.topic, &key(number), &payload, Headers::None, number);
    }
}

impl Paced for Publishing {
    async fn write(&self, number: u64) -> Spot {
        self.pool.insert(number).await;
        self.publish(number);
        Spot { lane: number, position: 1 }
    }
}

pub(crate) async fn see(consumer: StreamConsumer, board: Board) {
    loop {
        let message = consumer.recv().await.unwrap();
        let event: Deposited = serde_json::from_slice(message.payload().unwrap()).unwrap();
        board.sees([Spot { lane: event.cents.cast_unsigned(), position: 1 }]);
    }
}
