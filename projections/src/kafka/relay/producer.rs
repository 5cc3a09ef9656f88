//! Sends records, and waits for their acknowledgements.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::{Either, select};
use highwater_core::{
    Code, Envelope, Error, Position, Result,
    error::{Invalid, Unavailable},
};
use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Headers, OwnedHeaders},
    producer::{BaseRecord, ProducerContext, ThreadedProducer},
};
use tokio::sync::{Notify, watch};

use super::status::OversizedEvent;
use crate::kafka::{
    connection::Kafka,
    drop_in_thread::DropInThread,
    error::{client_error, client_error_with, forward_log, is_credentials_error},
    record::header,
};

const PUBLISHING: &str = "publishing";

/// The settings that an application may override. Records wait without a timeout: the relay reports that
/// the broker is unreachable, and continues when it is back.
const DEFAULTS: &[(&str, &str)] = &[
    ("compression.type", "lz4"),
    ("linger.ms", "1"),
    ("message.timeout.ms", "0"),
    ("queue.buffering.max.kbytes", "65536"),
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// The settings that the order of events depends on: no record may be skipped.
const FIXED: &[(&str, &str)] =
    &[("acks", "all"), ("enable.gapless.guarantee", "true"), ("enable.idempotence", "true")];

/// A producer, to be used until its first failure.
pub(super) struct Producer {
    inner: DropInThread<ThreadedProducer<DeliveryContext>>,
    limit: Option<u32>,
}

/// A record to send.
pub(super) struct OutgoingRecord<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) key: Option<&'a str>,
    pub(super) payload: &'a [u8],
    pub(super) headers: OwnedHeaders,
    /// Milliseconds since the epoch.
    pub(super) timestamp: i64,
}

impl Producer {
    /// Creates a producer of records of at most `limit` bytes, unless the application has set a limit.
    pub(super) fn new(kafka: &Kafka, limit: Option<u32>) -> Result<Self> {
        let mut config = kafka.client(DEFAULTS, FIXED);
        let limit = limit.filter(|_| kafka.get("message.max.bytes").is_none());
        if let Some(limit) = limit {
            config.set("message.max.bytes", limit.clamp(1_000, 1_000_000_000).to_string());
            // A batch must not be larger than the limit of the topic, either.
            if limit < 1_000_000 && kafka.get("batch.size").is_none() {
                config.set("batch.size", limit.to_string());
            }
        }
        let inner = config.create_with_context(DeliveryContext::default());
        let inner = DropInThread::new(inner.map_err(|error| client_error("connecting", error))?);
        Ok(Self { inner, limit })
    }

    /// Hands a record to the client; waits while its queue is full.
    pub(super) async fn send(
        &self,
        record: OutgoingRecord<'_>,
        acks: &Arc<PendingAcks>,
    ) -> Result<()> {
        let mut sending = BaseRecord::<str, [u8], _>::with_opaque_to(record.topic, acks.clone())
            .partition(record.partition)
            .payload(record.payload)
            .headers(record.headers)
            .timestamp(record.timestamp);
        sending.key = record.key;
        acks.expect_one();
        loop {
            sending = match self.inner.send(sending) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::Fatal), _)) => {
                    return Err(self.failure().await);
                }
                Err((error, _)) => return Err(client_error(PUBLISHING, error)),
            };
            let room = pin!(self.delivery().room.notified());
            if let Either::Right((error, _)) = select(room, pin!(self.failure())).await {
                return Err(error);
            }
        }
    }

    /// Converts the error of an event that is too large to one that names it.
    pub(super) fn explain(&self, error: Error, event: &Envelope) -> Error {
        if error.code() != Code::TOO_LARGE {
            return error;
        }
        let position = event.position;
        let bytes = event.payload.len();
        self.delivery().add_oversized(OversizedEvent { position, bytes, limit: self.limit });
        let limit = self.limit.map_or_else(String::new, |limit| format!(" of {limit} bytes"));
        let message = format!(
            "event {position} of stream {} has {bytes} bytes of payload, which is beyond the limit{limit} \
             of a record; raise max.message.bytes of the topic (and message.max.bytes, if it is set)",
            event.stream,
        );
        Invalid::new(Code::TOO_LARGE, message).into()
    }

    /// Waits for the first failure. No record may be sent after it.
    pub(super) async fn failure(&self) -> Error {
        let failure = pin!(self.delivery().first_failure());
        match select(failure, pin!(self.delivery().fatal())).await {
            Either::Left((error, _)) => error,
            Either::Right(((), failure)) => match self.fatal_error() {
                Some(error) => error,
                // The refusal of a record is the cause, and is reported for the record.
                None => failure.await,
            },
        }
    }

    /// Returns the error because of which the client sends nothing any more, unless a refused record is
    /// the cause.
    fn fatal_error(&self) -> Option<Error> {
        use rdkafka::producer::Producer as _;
        let (code, _) = self.inner.client().fatal_error()?;
        let is_cause = code != RDKafkaErrorCode::GaplessGuarantee;
        is_cause.then(|| client_error(PUBLISHING, KafkaError::Global(code)))
    }

    /// Subscribes to the errors that the client recovers from by itself.
    pub(super) fn outages(&self) -> watch::Receiver<Option<Error>> {
        self.delivery().outages.subscribe()
    }

    /// Returns the largest event that was too large, if one was.
    pub(super) fn oversized(&self) -> Option<OversizedEvent> {
        *self.delivery().oversized.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delivery(&self) -> &DeliveryContext {
        use rdkafka::producer::Producer as _;
        self.inner.context()
    }
}

/// Counts the records of a batch that have not been acknowledged.
pub(super) struct PendingAcks {
    /// One more than the records, until the batch is complete.
    pending: AtomicUsize,
    none_left: Notify,
}

impl PendingAcks {
    /// Creates the count of a batch without records. [`PendingAcks::complete`] ends the batch.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { pending: AtomicUsize::new(1), none_left: Notify::new() })
    }

    fn expect_one(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the batch: no more records will be sent.
    pub(super) fn complete(&self) {
        self.acknowledge_one();
    }

    fn acknowledge_one(&self) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none_left.notify_one();
        }
    }

    /// Waits until all records are acknowledged. Only one task may wait.
    pub(super) async fn all_acknowledged(&self) {
        while self.pending.load(Ordering::Acquire) > 0 {
            self.none_left.notified().await;
        }
    }
}

/// Receives the outcome of each record from the client.
#[derive(Default)]
struct DeliveryContext {
    /// Notified when the queue of the client may have room.
    room: Notify,
    /// The first permanent failure.
    failure: watch::Sender<Option<Error>>,
    /// True if the client sends nothing any more.
    is_fatal: watch::Sender<bool>,
    /// The last error that the client recovers from by itself.
    outages: watch::Sender<Option<Error>>,
    oversized: Mutex<Option<OversizedEvent>>,
}

impl DeliveryContext {
    async fn first_failure(&self) -> Error {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        match failed.ok().and_then(|error| error.clone()) {
            Some(error) => error,
            // This value keeps the sender.
            None => std::future::pending().await,
        }
    }

    async fn fatal(&self) {
        // This value keeps the sender.
        let _ = self.is_fatal.subscribe().wait_for(|is_fatal| *is_fatal).await;
    }

    fn fail(&self, error: Error) {
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            failure.get_or_insert(error);
            is_first
        });
    }

    /// Fails because a record was not published. The records that the client drops after that say nothing
    /// of the cause.
    fn refused(&self, error: &KafkaError, record: &BorrowedMessage<'_>) {
        let (topic, partition) = (record.topic(), record.partition());
        tracing::warn!(%error, topic, partition, "a record could not be published");
        let position = position_of(record.headers());
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => return,
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                return self.fail(Unavailable::TopicMissing { topic: topic.to_owned() }.into());
            }
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                let bytes = record.payload().map_or(0, <[u8]>::len);
                if let Some(position) = position {
                    self.add_oversized(OversizedEvent { position, bytes, limit: None });
                }
            }
            _ => {}
        }
        self.fail(client_error_with(PUBLISHING, error.clone(), &described(record, position)));
    }

    /// Keeps the largest event: records that were sent together are refused together.
    fn add_oversized(&self, event: OversizedEvent) {
        let mut largest = self.oversized.lock().unwrap_or_else(PoisonError::into_inner);
        if largest.is_none_or(|largest| largest.bytes < event.bytes) {
            *largest = Some(event);
        }
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        forward_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client error");
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => {
                self.is_fatal.send_replace(true);
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.outages.send_replace(Some(client_error(PUBLISHING, error)));
            }
            _ if is_credentials_error(&error) => self.fail(client_error(PUBLISHING, error)),
            _ => {}
        }
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Arc<PendingAcks>;

    fn delivery(&self, result: &DeliveryResult<'_>, acks: Arc<PendingAcks>) {
        match result {
            Ok(_) => acks.acknowledge_one(),
            Err((error, record)) => self.refused(error, record),
        }
        self.room.notify_one();
    }
}

/// Describes a refused record. Records that are sent together are refused together, and the client reports
/// the first of them first.
fn described(record: &BorrowedMessage<'_>, position: Option<Position>) -> String {
    let place = format!("{}/{}", record.topic(), record.partition());
    let stream = record.key().and_then(|key| std::str::from_utf8(key).ok());
    match position.zip(stream) {
        Some((position, stream)) => format!(
            "event {position} of stream {stream} for {place}, or an event that was sent with it"
        ),
        None => format!("a mark for {place}, or an event that was sent with it"),
    }
}

/// Returns the position of a record, if it has one.
fn position_of<H: Headers>(headers: Option<&H>) -> Option<Position> {
    let mut position = headers?.iter().filter(|header| header.key == header::POSITION);
    let position = std::str::from_utf8(position.next()?.value?).ok()?;
    position.parse().ok().map(Position::new)
}
