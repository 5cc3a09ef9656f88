//! Topics: created if they don't exist, checked if they do.

use highwater_core::{Code, Result, error::Invalid};

use super::{
    chains::PartitionChains,
    settings::{RelaySettings, retry_pauses},
};
use crate::kafka::{
    admin::{RECORD_BYTES, TopicAdmin, TopicConfig, count_partitions},
    drop_in_thread::DropInThread,
};

/// The number of checks for a topic that the relay has created.
const CREATE_CHECKS: usize = 6;

/// The topics of a relay.
pub(super) struct RelayTopics<'a>(pub(super) &'a RelaySettings);

impl RelayTopics<'_> {
    /// Ensures that the named topics and those that have a chain exist, and starts the chains that are
    /// missing. Returns the size limit of a record in bytes that holds in all of them, if it is known.
    pub(super) async fn ensure_all(&self, chains: &mut PartitionChains) -> Result<Option<u32>> {
        let mut topics = self.0.topics.named();
        topics.extend(chains.topics().map(str::to_owned));
        topics.sort_unstable();
        topics.dedup();
        let existing = count_partitions(&self.0.kafka, &topics).await?;
        let admin = DropInThread::new(TopicAdmin::new(&self.0.kafka)?);
        let mut limit = topics.is_empty().then_some(RECORD_BYTES);
        for topic in &topics {
            let known = chains.partitions(topic);
            let count = match existing.get(topic) {
                Some(count) => *count,
                None => self.create(&admin, topic, known).await?,
            };
            check_partitions(topic, known, count)?;
            chains.start(topic, count);
            if let Some(bytes) = admin.record_limit(topic).await? {
                limit = Some(limit.map_or(bytes, |least: u32| least.min(bytes)));
            }
        }
        Ok(limit)
    }

    /// Ensures that a topic without a chain exists, and returns the number of its partitions.
    pub(super) async fn ensure(&self, topic: &str) -> Result<u32> {
        match count_partitions(&self.0.kafka, &[topic.to_owned()]).await?.get(topic) {
            Some(count) => Ok(*count),
            None => {
                self.create(&DropInThread::new(TopicAdmin::new(&self.0.kafka)?), topic, None).await
            }
        }
    }

    /// Creates a topic. One that had partitions before gets the same number: its chains continue.
    async fn create(&self, admin: &TopicAdmin, topic: &str, known: Option<u32>) -> Result<u32> {
        let RelaySettings { name, topic_config, kafka, clock, .. } = self.0;
        let partitions = known.unwrap_or(topic_config.partitions);
        tracing::info!(relay = name, topic, partitions, "creating a topic");
        admin.create(topic, &TopicConfig { partitions, ..topic_config.clone() }).await?;
        // Another process may have created it at the same time, with other settings.
        for pause in retry_pauses().take(CREATE_CHECKS) {
            if let Some(count) = count_partitions(kafka, &[topic.to_owned()]).await?.get(topic) {
                return Ok(*count);
            }
            clock.sleep(pause).await;
        }
        let message =
            format!("topic {topic} has been created and does not exist; is it being deleted?");
        Err(Invalid::new(Code::BAD_TOPIC, message).into())
    }
}

fn check_partitions(topic: &str, known: Option<u32>, count: u32) -> Result<()> {
    match known {
        Some(known) if known != count => {
            let message = format!(
                "topic {topic} has {count} partitions, and had {known} when it was published to \
                 before: the partition of a stream depends on that. Publish to a new topic under a new \
                 relay name, and let the views be resharded"
            );
            Err(Invalid::new(Code::BAD_TOPIC, message).into())
        }
        _ => Ok(()),
    }
}
