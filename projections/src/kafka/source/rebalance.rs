//! Rebalances of a consumer group. The callback of the client only records them, because it can't wait;
//! the membership carries them out.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaResult, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaRespErr,
};
use tokio::sync::Notify;

use crate::kafka::error::forward_log;

/// A decision of the group about this consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    /// The group has assigned these partitions.
    Assign(Vec<i32>),
    /// The group has revoked these partitions.
    Revoke(Vec<i32>),
}

/// Queues the rebalances until the membership carries them out.
#[derive(Default)]
pub(super) struct RebalanceContext {
    rebalances: Mutex<VecDeque<Rebalance>>,
    queued: Notify,
    is_closing: AtomicBool,
    /// Dropped with the client, which is after it has left the group.
    alive: Arc<()>,
}

impl RebalanceContext {
    pub(super) fn pop(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Waits until there may be a rebalance.
    pub(super) async fn queued(&self) {
        self.queued.notified().await;
    }

    /// Returns a reference that is dead when the client has left the group.
    pub(super) fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Makes the callback answer the group at once from now on: no membership will do it later.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }
}

impl ClientContext for RebalanceContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        forward_log(level, facility, message);
    }
}

impl ConsumerContext for RebalanceContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let numbers = partitions.elements().iter().map(TopicPartitionListElem::partition).collect();
        let rebalance = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(numbers),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Rebalance::Revoke(numbers),
            error => {
                tracing::warn!(error = %RDKafkaErrorCode::from(error), "a rebalance failed");
                return;
            }
        };
        let answered = match &rebalance {
            // All the partitions are paused until the group is answered. A new one is read once a claim
            // has given its offset. If the client started at another offset, its request for that could
            // be answered after it got the right one, and it would seek to the wrong offset after all.
            Rebalance::Assign(_) => consumer.incremental_assign(&TopicPartitionList::new()),
            Rebalance::Revoke(partitions) if self.is_closing() => unassign(consumer, partitions),
            // The group is answered when the work on them has ended.
            Rebalance::Revoke(_) => Ok(()),
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "a rebalance could not be answered");
        }
        if self.is_closing() {
            return;
        }
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push_back(rebalance);
        self.queued.notify_one();
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "offsets could not be committed to Kafka");
        }
    }
}

/// Unassigns those of the revoked partitions that are read.
fn unassign(consumer: &BaseConsumer<RebalanceContext>, partitions: &[i32]) -> KafkaResult<()> {
    let mut read = TopicPartitionList::new();
    for element in consumer.assignment()?.elements() {
        if partitions.contains(&element.partition()) {
            read.add_partition(element.topic(), element.partition());
        }
    }
    consumer.incremental_unassign(&read)
}
