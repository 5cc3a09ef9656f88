//! Topics: made if they aren't there, checked if they are.

use highwater_core::{Code, Result, error::Invalid};

use super::{Relay, chains::Chains};
use crate::kafka::{
    admin::{Admin, Blueprint, RECORD_BYTES, partitions},
    elsewhere::Elsewhere,
};

impl Relay {
    /// Makes sure that the topics are there, those that are always and those that have a chain, and
    /// begins their chains. Gives how many bytes a record may have in all of them, if that is known.
    pub(super) async fn ensure(&self, chains: &mut Chains) -> Result<Option<u32>> {
        let mut wanted = self.topics.named();
        wanted.extend(chains.topics().map(str::to_owned));
        wanted.sort_unstable();
        wanted.dedup();
        let there = partitions(&self.kafka, &wanted).await?;
        let admin = Elsewhere::new(Admin::new(&self.kafka)?);
        let mut limit = wanted.is_empty().then_some(RECORD_BYTES);
        for topic in &wanted {
            let known = chains.partitions(topic);
            let count = match there.get(topic) {
                Some(count) => *count,
                None => self.make(&admin, topic, known).await?,
            };
            fits(topic, known, count)?;
            chains.begin(topic, count);
            if let Some(bytes) = admin.record_limit(topic).await? {
                limit = Some(limit.map_or(bytes, |least: u32| least.min(bytes)));
            }
        }
        Ok(limit)
    }

    /// As [`Relay::ensure`] for a topic that has no chain yet: how many partitions it has.
    pub(super) async fn ensure_one(&self, topic: &str) -> Result<u32> {
        match partitions(&self.kafka, &[topic.to_owned()]).await?.get(topic) {
            Some(count) => Ok(*count),
            None => self.make(&Elsewhere::new(Admin::new(&self.kafka)?), topic, None).await,
        }
    }

    /// A topic that had partitions before gets as many again: the chains go on.
    async fn make(&self, admin: &Admin, topic: &str, known: Option<u32>) -> Result<u32> {
        let count = known.unwrap_or(self.blueprint.partitions);
        tracing::info!(relay = self.name, topic, partitions = count, "making a topic");
        admin.create(topic, &Blueprint { partitions: count, ..self.blueprint.clone() }).await?;
        // Somebody else may have made it at the same time, in another way.
        for wait in super::waits().take(6) {
            let topics = [topic.to_owned()];
            if let Some(count) = partitions(&self.kafka, &topics).await?.get(topic) {
                return Ok(*count);
            }
            self.clock.sleep(wait).await;
        }
        let message = format!("topic {topic} has been made and is not there; is it being deleted?");
        Err(Invalid::new(Code::BAD_TOPIC, message).into())
    }
}

fn fits(topic: &str, known: Option<u32>, count: u32) -> Result<()> {
    match known {
        Some(known) if known != count => {
            let message = format!(
                "topic {topic} has {count} partitions, and had {known} when it was published to \
                 before: which partition a stream is in depends on that. Publish to a new topic under \
                 a new relay name, and let the views be divided anew"
            );
            Err(Invalid::new(Code::BAD_TOPIC, message).into())
        }
        _ => Ok(()),
    }
}
