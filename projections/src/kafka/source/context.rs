//! What a consumer is told by its group. It is acted on later, by the membership: a callback can't
//! wait.

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

use crate::kafka::trouble::log;

/// What the group has decided about this consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// These partitions are its own.
    Assign(Vec<i32>),
    /// These are no longer.
    Revoke(Vec<i32>),
}

/// Keeps what the group has decided until the membership acts on it.
#[derive(Default)]
pub(super) struct Context {
    decisions: Mutex<VecDeque<Decision>>,
    heard: Notify,
    closing: AtomicBool,
    /// Gone when the client is, which is after it has said goodbye.
    alive: Arc<()>,
}

impl Context {
    pub(super) fn decision(&self) -> Option<Decision> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Waits until there may be a decision.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// What is gone when the client has said goodbye.
    pub(super) fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// From now on decisions are acted on at once: nobody is there to do it later.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let numbers = partitions.elements().iter().map(TopicPartitionListElem::partition).collect();
        let decision = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Decision::Assign(numbers),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Decision::Revoke(numbers),
            error => {
                tracing::warn!(error = %RDKafkaErrorCode::from(error), "a rebalance failed");
                return;
            }
        };
        let done = match &decision {
            // All the partitions are at rest until the group is answered. What is new is read when a
            // claim has said from where. Did the client begin somewhere else, its question for the
            // offset of that place could be answered after it was told the right one, and it would go
            // there after all.
            Decision::Assign(_) => consumer.incremental_assign(&TopicPartitionList::new()),
            Decision::Revoke(partitions) if self.is_closing() => let_go(consumer, partitions),
            // The answer comes when the work on them has ended.
            Decision::Revoke(_) => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "answering a group");
        }
        if self.is_closing() {
            return;
        }
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).push_back(decision);
        self.heard.notify_one();
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "telling Kafka how far the view is");
        }
    }
}

/// Lets go what is read of what is to go.
fn let_go(consumer: &BaseConsumer<Context>, partitions: &[i32]) -> KafkaResult<()> {
    let mut read = TopicPartitionList::new();
    for element in consumer.assignment()?.elements() {
        if partitions.contains(&element.partition()) {
            read.add_partition(element.topic(), element.partition());
        }
    }
    consumer.incremental_unassign(&read)
}
