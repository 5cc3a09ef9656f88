//! Topics as they are, and as the relay makes them.

use std::{collections::BTreeMap, time::Duration};

use highwater_core::{
    Code, Error, Result,
    error::{Invalid, Source, Unavailable},
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    Kafka,
    trouble::{Listening, failed},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// How many partitions these topics have; a topic that isn't there is not in the answer.
pub(super) async fn partitions(kafka: &Kafka, topics: &[String]) -> Result<BTreeMap<String, u32>> {
    let (kafka, topics) = (kafka.clone(), topics.to_vec());
    let asked = tokio::task::spawn_blocking(move || partitions_now(&kafka, &topics)).await;
    asked.unwrap_or_else(|error| {
        let doing = "asking for the partitions of topics";
        Err(Unavailable::Broker { doing, source: Source::new(error) }.into())
    })
}

/// Asked as a consumer: a producer's question would make the broker create the topic its own way.
fn partitions_now(kafka: &Kafka, topics: &[String]) -> Result<BTreeMap<String, u32>> {
    let doing = "asking for the partitions of topics";
    let config = kafka.client(&[], &[("allow.auto.create.topics", "false")]);
    let client: BaseConsumer<Listening> =
        config.create_with_context(Listening::default()).map_err(|error| failed(doing, error))?;
    let mut found = BTreeMap::new();
    for name in topics {
        let answer = client.fetch_metadata(Some(name), PATIENCE);
        let answer = answer.map_err(|error| explained(&client, doing, error))?;
        for topic in answer.topics().iter().filter(|topic| topic.name() == name) {
            match topic.error().map(RDKafkaErrorCode::from) {
                None => {
                    found.insert(name.clone(), topic.partitions().len() as u32);
                }
                Some(
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
                ) => {}
                Some(error) => return Err(failed(doing, KafkaError::MetadataFetch(error))),
            }
        }
    }
    Ok(found)
}

/// A request that found no broker doesn't say why; the client has said so beside it, to whoever polls.
fn explained(client: &BaseConsumer<Listening>, doing: &'static str, error: KafkaError) -> Error {
    // An event for the client's own use looks like none at all, so that one can't stop at the first.
    for _ in 0..256 {
        let _ = client.poll(Duration::ZERO);
    }
    client.context().explain(doing, error)
}

/// How the relay makes a topic that isn't there.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    /// How many partitions.
    pub(super) partitions: u32,
    /// How many replicas; `None` for what the cluster does by default.
    pub(super) replication: Option<u16>,
    /// How long records are kept; `None` for what the cluster does by default.
    pub(super) retention: Option<Duration>,
}

/// What a topic of the relay's making may hold in a record: the largest payload and metadata that
/// stores accept by default, with room for the headers.
pub(super) const RECORD_BYTES: u32 = 10 << 20;

pub(super) struct Admin {
    client: AdminClient<Listening>,
}

impl Admin {
    pub(super) fn new(kafka: &Kafka) -> Result<Self> {
        let client = kafka.client(&[], &[]).create_with_context(Listening::default());
        Ok(Self { client: client.map_err(|error| failed("connecting", error))? })
    }

    /// Makes a topic. That somebody else has made it meanwhile is fine: it is checked afterwards.
    pub(super) async fn create(&self, name: &str, blueprint: &Blueprint) -> Result<()> {
        let retention = blueprint.retention.map(|time| time.as_millis().to_string());
        let replication = blueprint.replication.map_or(-1, i32::from);
        let partitions = i32::try_from(blueprint.partitions).unwrap_or(i32::MAX);
        let record_bytes = RECORD_BYTES.to_string();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
            .set("cleanup.policy", "delete")
            .set("max.message.bytes", &record_bytes)
            .set("message.timestamp.type", "CreateTime");
        if let Some(retention) = &retention {
            topic = topic.set("retention.ms", retention);
        }
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let options = options.operation_timeout(Some(PATIENCE));
        let made = self.client.create_topics([&topic], &options).await;
        let made = made.map_err(|error| failed("making a topic", error))?;
        match made.into_iter().find_map(std::result::Result::err) {
            None | Some((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            Some((_, code)) => Err(failed("making a topic", KafkaError::AdminOp(code))),
        }
    }

    /// How many bytes a record of a topic may have, if that may be known. A topic that forgets all but
    /// the last event of a stream is refused.
    pub(super) async fn record_limit(&self, topic: &str) -> Result<Option<u32>> {
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let asked =
            self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
        let described = match asked.map(|mut answers| answers.pop()) {
            Ok(Some(Ok(described))) => described,
            // Not everybody who may write to a topic may ask for this.
            Ok(_) => return Ok(None),
            Err(error) => return Err(failed("asking for the limits of a topic", error)),
        };
        let value = |name| described.get(name).and_then(|entry| entry.value.as_deref());
        if value("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
            let message = format!(
                "topic {topic} is compacted, which drops events; set its cleanup.policy to delete"
            );
            return Err(Invalid::new(Code::BAD_TOPIC, message).into());
        }
        Ok(value("max.message.bytes").and_then(|limit| limit.parse().ok()))
    }
}
