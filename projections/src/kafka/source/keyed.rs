//! A worker's part in a view that is divided by key. Shards are shared by leases, as without Kafka, and
//! each reads all the partitions.

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    Result,
    error::{Source as Reason, Unavailable},
    port::{Assignment, Clock, Feed, Membership, Progress},
    value::ShardId,
};
use rdkafka::{TopicPartitionList, consumer::Consumer as _, topic_partition_list::Offset};

use super::{
    consumer::consumer,
    feed::{KafkaFeed, Reading},
    lane::Lane,
    offsets::Offsets,
    state::Reporter,
    wanted::Wanted,
};
use crate::{
    Leases,
    kafka::{Kafka, trouble::failed},
};

pub(super) struct KeyedMembership {
    pub(super) leases: Leases,
    pub(super) kafka: Kafka,
    pub(super) group: String,
    pub(super) shards: u32,
    pub(super) wanted: Wanted,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reporter: Reporter,
}

#[async_trait]
impl Membership for KeyedMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        self.leases.next_assignment().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        // Offsets are told by group, so several shards need a name each.
        let group = match self.shards {
            1 => self.group.clone(),
            _ => format!("{}.{shard}", self.group),
        };
        let partitions = self.wanted.partitions.values().sum();
        let consumer = consumer(&self.kafka, &group, None, partitions)?;
        let offsets = Offsets::from_cursor(&from.cursor);
        let (mut lanes, mut queues) = (Vec::new(), Vec::new());
        let mut list = TopicPartitionList::new();
        for (topic, count) in &self.wanted.partitions {
            let shared: Arc<str> = topic.as_str().into();
            for partition in 0..i32::try_from(*count).unwrap_or(i32::MAX) {
                let seen = offsets.get(topic, partition);
                let offset = seen.map_or(Offset::Beginning, |seen| Offset::Offset(seen.offset));
                // Only an offset that is none would be refused.
                let _ = list.add_partition_offset(topic, partition, offset);
                queues.push(consumer.split_partition_queue(topic, partition).ok_or_else(|| {
                    let source = Reason::new(format!("the client knows no {topic}/{partition}"));
                    Unavailable::Broker { doing: "beginning to read a topic", source }
                })?);
                lanes.push(Lane::new(Arc::clone(&shared), partition, from.position, seen));
            }
        }
        // Each partition has a queue of its own before it is read.
        consumer.assign(&list).map_err(|error| failed("beginning to read a topic", error))?;
        let reading = Reading { consumer, queues, lanes, is_alone: true };
        let (clock, reporter) = (Arc::clone(&self.clock), self.reporter.clone());
        Ok(Box::new(KafkaFeed::new(reading, self.wanted.clone(), from, clock, reporter)))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.leases.released(shard);
        Ok(())
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.leases.leave().await
    }
}
