//! Sends records, and counts those that are acknowledged.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::{Either, select};
use highwater_core::{Code, Envelope, Error, Position, Result, error::Invalid};
use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Headers, OwnedHeaders},
    producer::{BaseRecord, ProducerContext, ThreadedProducer},
};
use tokio::sync::{Notify, watch};

use super::status::TooLarge;
use crate::kafka::{
    Kafka,
    elsewhere::Elsewhere,
    record::header,
    trouble::{failed, is_about_credentials, log},
};

const PUBLISHING: &str = "publishing";

/// What the user may set otherwise. Records wait as long as it takes: the relay is told when the
/// broker is gone, and goes on when it is back.
const DEFAULTS: &[(&str, &str)] = &[
    ("compression.type", "lz4"),
    ("linger.ms", "1"),
    ("message.timeout.ms", "0"),
    ("queue.buffering.max.kbytes", "65536"),
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// What the order depends on: no record may be passed over.
const FIXED: &[(&str, &str)] =
    &[("acks", "all"), ("enable.gapless.guarantee", "true"), ("enable.idempotence", "true")];

/// A producer until its first failure.
pub(super) struct Producer {
    inner: Elsewhere<ThreadedProducer<Delivery>>,
    limit: Option<u32>,
}

/// A record that is to be sent.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) key: Option<&'a str>,
    pub(super) payload: &'a [u8],
    pub(super) headers: OwnedHeaders,
    /// In milliseconds since the epoch.
    pub(super) timestamp: i64,
}

impl Producer {
    /// A producer of records of at most so many bytes, unless the user has set a limit.
    pub(super) fn new(kafka: &Kafka, limit: Option<u32>) -> Result<Self> {
        let mut config = kafka.client(DEFAULTS, FIXED);
        let limit = limit.filter(|_| kafka.get("message.max.bytes").is_none());
        if let Some(limit) = limit {
            config.set("message.max.bytes", limit.clamp(1_000, 1_000_000_000).to_string());
            // A batch is not to be larger than what the topic takes, either.
            if limit < 1_000_000 && kafka.get("batch.size").is_none() {
                config.set("batch.size", limit.to_string());
            }
        }
        let inner = config.create_with_context(Delivery::default());
        let inner = Elsewhere::new(inner.map_err(|error| failed("connecting", error))?);
        Ok(Self { inner, limit })
    }

    /// Hands a record over to the client; waits while its queue is full.
    pub(super) async fn send(&self, record: Outgoing<'_>, batch: &Arc<Acknowledged>) -> Result<()> {
        let mut sending = BaseRecord::<str, [u8], _>::with_opaque_to(record.topic, batch.clone())
            .partition(record.partition)
            .payload(record.payload)
            .headers(record.headers)
            .timestamp(record.timestamp);
        sending.key = record.key;
        batch.expect_one();
        loop {
            sending = match self.inner.send(sending) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
                Err((error, _)) => return Err(failed(PUBLISHING, error)),
            };
            let room = std::pin::pin!(self.delivery().room.notified());
            if let Either::Right((error, _)) = select(room, std::pin::pin!(self.failure())).await {
                return Err(error);
            }
        }
    }

    /// Names the event that was too large.
    pub(super) fn explain(&self, error: Error, event: &Envelope) -> Error {
        if error.code() != Code::TOO_LARGE {
            return error;
        }
        let (position, bytes) = (event.position, event.payload.len());
        self.delivery().is_too_large(TooLarge { position, bytes, limit: self.limit });
        let limit = self.limit.map_or_else(String::new, |limit| format!(" of {limit} bytes"));
        let message = format!(
            "event {} of stream {} has {} bytes of payload, which is beyond the limit{limit} of a \
             record; raise max.message.bytes of the topic (and message.max.bytes, if it is set)",
            position, event.stream, bytes,
        );
        Invalid::new(Code::TOO_LARGE, message).into()
    }

    /// Waits for the first failure. Nothing may be sent after it.
    pub(super) async fn failure(&self) -> Error {
        let mut failure = self.delivery().failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        match failed.ok().and_then(|error| error.clone()) {
            Some(error) => error,
            // The sender is this producer's own.
            None => std::future::pending().await,
        }
    }

    /// What troubles the client, which it will get over by itself.
    pub(super) fn trouble(&self) -> watch::Receiver<Option<Error>> {
        self.delivery().trouble.subscribe()
    }

    /// The event that was too large, if one was.
    pub(super) fn too_large(&self) -> Option<TooLarge> {
        *self.delivery().too_large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delivery(&self) -> &Delivery {
        use rdkafka::producer::Producer as _;
        self.inner.context()
    }
}

/// The records of a batch that have not been acknowledged.
pub(super) struct Acknowledged {
    missing: AtomicUsize,
    all: Notify,
}

impl Acknowledged {
    /// None so far. [`Acknowledged::complete`] says that no more will come.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { missing: AtomicUsize::new(1), all: Notify::new() })
    }

    fn expect_one(&self) {
        self.missing.fetch_add(1, Ordering::Relaxed);
    }

    /// No more records will be sent.
    pub(super) fn complete(&self) {
        self.one();
    }

    fn one(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.notify_one();
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }

    /// Waits until all are acknowledged; one task may.
    pub(super) async fn whole(&self) {
        while !self.is_whole() {
            self.all.notified().await;
        }
    }
}

/// Hears what has become of records.
struct Delivery {
    room: Notify,
    failure: watch::Sender<Option<Error>>,
    trouble: watch::Sender<Option<Error>>,
    too_large: Mutex<Option<TooLarge>>,
}

impl Default for Delivery {
    fn default() -> Self {
        let (failure, trouble) = (watch::Sender::new(None), watch::Sender::new(None));
        Self { room: Notify::new(), failure, trouble, too_large: Mutex::default() }
    }
}

impl Delivery {
    fn fail(&self, error: Error) {
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            failure.get_or_insert(error);
            is_first
        });
    }
}

impl Delivery {
    /// Records that were sent together are refused together: the largest is the one.
    fn is_too_large(&self, event: TooLarge) {
        let mut largest = self.too_large.lock().unwrap_or_else(PoisonError::into_inner);
        if largest.is_none_or(|largest| largest.bytes < event.bytes) {
            *largest = Some(event);
        }
    }
}

impl ClientContext for Delivery {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka's client");
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => self.fail(failed(PUBLISHING, error)),
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.trouble.send_replace(Some(failed(PUBLISHING, error)));
            }
            _ if is_about_credentials(&error) => self.fail(failed(PUBLISHING, error)),
            _ => {}
        }
    }
}

impl ProducerContext for Delivery {
    type DeliveryOpaque = Arc<Acknowledged>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Acknowledged>) {
        match result {
            Ok(_) => batch.one(),
            Err((error, record)) => {
                let (topic, partition) = (record.topic(), record.partition());
                tracing::warn!(%error, topic, partition, "a record was not published");
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
                    && let Some(position) = position_of(record.headers())
                {
                    let bytes = record.payload().map_or(0, <[u8]>::len);
                    self.is_too_large(TooLarge { position, bytes, limit: None });
                }
                self.fail(failed(PUBLISHING, error.clone()));
            }
        }
        self.room.notify_one();
    }
}

/// Which event a record is of, if it is of one.
fn position_of<H: Headers>(headers: Option<&H>) -> Option<Position> {
    let mut position = headers?.iter().filter(|header| header.key == header::POSITION);
    let position = std::str::from_utf8(position.next()?.value?).ok()?;
    position.parse().ok().map(Position::new)
}
