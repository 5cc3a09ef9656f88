//! The ends of partitions, as the brokers tell them.

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Result,
    error::{Source as Reason, Unavailable},
};
use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    topic_partition_list::Offset,
};

use super::{rebalance::RebalanceContext, report::CONSUMING};
use crate::kafka::error::client_error;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// A partition, and its number in a feed.
pub(super) struct FeedPartition {
    pub(super) index: usize,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
}

/// Returns the ends of partitions by their numbers in the feed, as far as the brokers tell them.
pub(super) async fn ends_of(
    consumer: &Arc<StreamConsumer<RebalanceContext>>,
    partitions: Vec<FeedPartition>,
) -> Vec<(usize, i64)> {
    let mut list = TopicPartitionList::new();
    for FeedPartition { topic, partition, .. } in &partitions {
        // Only an invalid offset would be refused.
        let _ = list.add_partition_offset(topic, *partition, Offset::End);
    }
    let consumer = Arc::clone(consumer);
    let asking = move || consumer.offsets_for_times(list, REQUEST_TIMEOUT);
    let Ok(Ok(found)) = tokio::task::spawn_blocking(asking).await else { return Vec::new() };
    let end = |FeedPartition { index, topic, partition }| match found
        .find_partition(&topic, partition)?
        .offset()
    {
        Offset::Offset(end) => Some((index, end)),
        _ => None,
    };
    partitions.into_iter().filter_map(end).collect()
}

/// Returns true if a partition has never had a record.
pub(super) async fn is_unused(
    consumer: &Arc<StreamConsumer<RebalanceContext>>,
    topic: &Arc<str>,
    partition: i32,
) -> Result<bool> {
    let consumer = Arc::clone(consumer);
    let topic = Arc::clone(topic);
    let asking = move || consumer.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT);
    let asked = tokio::task::spawn_blocking(asking).await;
    let asked = asked
        .map_err(|error| Unavailable::Broker { doing: CONSUMING, source: Reason::new(error) })?;
    let (_, end) = asked.map_err(|error| client_error(CONSUMING, error))?;
    Ok(end == 0)
}
