//! Consumers, configured so that memory stays bounded however large the backlog is.

use std::sync::Arc;

use highwater_core::Result;
use rdkafka::consumer::StreamConsumer;

use super::rebalance::RebalanceContext;
use crate::kafka::{
    connection::{Kafka, SESSION_TIMEOUT_MS},
    error::client_error,
};

/// The memory for the queues of all partitions of a consumer in KiB, as far as each may have a little.
const QUEUE_KIB: u32 = 64 << 10;

/// The memory of a record in KiB. The client counts only its key and payload; the rest is usually larger.
const RECORD_KIB: u32 = 2;

/// Creates a consumer of a group, for topics with this number of partitions in all.
pub(super) fn create_consumer(
    kafka: &Kafka,
    group: &str,
    instance: Option<&str>,
    partitions: u32,
) -> Result<Arc<StreamConsumer<RebalanceContext>>> {
    let queue_kib = (QUEUE_KIB / partitions.max(1)).clamp(1 << 10, QUEUE_KIB);
    let queue_records = (queue_kib / RECORD_KIB).to_string();
    let queue_kib = queue_kib.to_string();
    let session = SESSION_TIMEOUT_MS.to_string();
    let defaults = [
        // With a small queue the client would pause for a second whenever it is full.
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.message.max.bytes", "524288"),
        ("queued.max.messages.kbytes", &queue_kib),
        ("queued.min.messages", &queue_records),
        ("session.timeout.ms", &session),
        // A topic that was deleted is noticed soon, and one that was recreated.
        ("topic.metadata.propagation.max.ms", "1000"),
        ("topic.metadata.refresh.interval.ms", "10000"),
    ];
    let mut fixed = vec![
        ("group.id", group),
        ("allow.auto.create.topics", "false"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("partition.assignment.strategy", "cooperative-sticky"),
    ];
    fixed.extend(instance.map(|instance| ("group.instance.id", instance)));
    let config = kafka.client(&defaults, &fixed);
    let consumer = config.create_with_context(RebalanceContext::default());
    Ok(Arc::new(consumer.map_err(|error| client_error("connecting", error))?))
}
