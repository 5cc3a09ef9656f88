//! Consumers, configured so that memory stays bounded whatever the backlog.

use std::sync::Arc;

use highwater_core::Result;
use rdkafka::consumer::StreamConsumer;

use super::context::Context;
use crate::kafka::{Kafka, trouble::failed};

/// What all the partitions of a consumer may hold together, in KiB, as far as each may hold a little.
const HELD: u32 = 64 << 10;

/// What a record takes in memory, in KiB: the client counts its key and its payload alone, and the rest is
/// more than these, as a rule.
const RECORD: u32 = 2;

/// A consumer in a group, of topics with so many partitions in all.
pub(super) fn consumer(
    kafka: &Kafka,
    group: &str,
    instance: Option<&str>,
    partitions: u32,
) -> Result<Arc<StreamConsumer<Context>>> {
    let held = (HELD / partitions.max(1)).clamp(1 << 10, HELD);
    let (records, held) = ((held / RECORD).to_string(), held.to_string());
    let defaults = [
        // With a small queue the client would rest for a second whenever it is full.
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.message.max.bytes", "524288"),
        ("queued.max.messages.kbytes", &held),
        ("queued.min.messages", &records),
        ("session.timeout.ms", "10000"),
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
    let consumer = kafka.client(&defaults, &fixed).create_with_context(Context::default());
    Ok(Arc::new(consumer.map_err(|error| failed("connecting", error))?))
}
