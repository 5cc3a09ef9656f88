//! A worker of a view that is sharded by key. Shards are shared by leases, as without Kafka, and each
//! reads all the partitions.

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    Result,
    error::{Source as Reason, Unavailable},
    port::{Assignment, Feed, Membership, Progress},
    value::ShardId,
};
use rdkafka::{TopicPartitionList, consumer::Consumer as _, topic_partition_list::Offset};

use super::{
    consumer::create_consumer,
    feed::{FeedInput, KafkaFeed},
    filter::FeedFilter,
    lane::Lane,
    report::SourceReporter,
    resume::ResumePoints,
};
use crate::{
    direct::Leases,
    kafka::{connection::Kafka, error::client_error},
};

const STARTING: &str = "beginning to read a topic";

pub(super) struct KeyedMembership {
    pub(super) leases: Leases,
    pub(super) kafka: Kafka,
    pub(super) group: String,
    pub(super) shards: u32,
    pub(super) filter: FeedFilter,
    pub(super) reporter: SourceReporter,
}

#[async_trait]
impl Membership for KeyedMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        tokio::select! {
            assignment = self.leases.next_assignment() => assignment,
            error = self.reporter.expired() => Err(error),
        }
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        // Offsets are committed by group, so each of several shards needs its own.
        let group = match self.shards {
            1 => self.group.clone(),
            _ => format!("{}.{shard}", self.group),
        };
        let partitions = self.filter.partitions.values().sum();
        let consumer = create_consumer(&self.kafka, &group, None, partitions)?;
        let points = ResumePoints::from_cursor(&from.cursor);
        let mut lanes = Vec::new();
        let mut queues = Vec::new();
        let mut list = TopicPartitionList::new();
        for (topic, count) in &self.filter.partitions {
            let shared: Arc<str> = topic.as_str().into();
            for partition in 0..i32::try_from(*count).unwrap_or(i32::MAX) {
                let point = points.get(topic, partition);
                let offset = point.map_or(Offset::Beginning, |point| Offset::Offset(point.offset));
                // Only an invalid offset would be refused.
                let _ = list.add_partition_offset(topic, partition, offset);
                queues.push(consumer.split_partition_queue(topic, partition).ok_or_else(|| {
                    let source = Reason::new(format!("the client knows no {topic}/{partition}"));
                    Unavailable::Broker { doing: STARTING, source }
                })?);
                lanes.push(Lane::new(Arc::clone(&shared), partition, from.position, point));
            }
        }
        // Each partition has its own queue before it is read.
        consumer.assign(&list).map_err(|error| client_error(STARTING, error))?;
        let input = FeedInput { consumer, queues, lanes, owns_consumer: true };
        Ok(Box::new(KafkaFeed::new(input, self.filter.clone(), from, self.reporter.clone())))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.leases.released(shard);
        Ok(())
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.leases.leave().await
    }
}
