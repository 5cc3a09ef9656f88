//! Creates and describes topics.

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
    connection::Kafka,
    error::{ErrorContext, client_error},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of client events that are polled to find why a request failed.
const POLL_LIMIT: usize = 256;

const COUNTING: &str = "asking for the partitions of topics";

/// Counts the partitions of these topics; a topic that doesn't exist is not in the result.
pub(super) async fn count_partitions(
    kafka: &Kafka,
    topics: &[String],
) -> Result<BTreeMap<String, u32>> {
    let kafka = kafka.clone();
    let topics = topics.to_vec();
    let counted = tokio::task::spawn_blocking(move || count_blocking(&kafka, &topics)).await;
    counted.unwrap_or_else(|error| {
        Err(Unavailable::Broker { doing: COUNTING, source: Source::new(error) }.into())
    })
}

/// Asks as a consumer: the request of a producer would make the broker create the topic in its own way.
fn count_blocking(kafka: &Kafka, topics: &[String]) -> Result<BTreeMap<String, u32>> {
    let config = kafka.client(&[], &[("allow.auto.create.topics", "false")]);
    let client = config.create_with_context(ErrorContext::default());
    let client: BaseConsumer<_> = client.map_err(|error| client_error(COUNTING, error))?;
    let mut found = BTreeMap::new();
    for name in topics {
        let metadata = client.fetch_metadata(Some(name), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| explain(&client, COUNTING, error))?;
        for topic in metadata.topics().iter().filter(|topic| topic.name() == name) {
            match topic.error().map(RDKafkaErrorCode::from) {
                None => {
                    found.insert(name.clone(), topic.partitions().len() as u32);
                }
                Some(
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
                ) => {}
                Some(error) => {
                    return Err(client_error(COUNTING, KafkaError::MetadataFetch(error)));
                }
            }
        }
    }
    Ok(found)
}

/// Explains a request that found no broker. The request doesn't say why; the client reports that when
/// it is polled.
fn explain(client: &BaseConsumer<ErrorContext>, doing: &'static str, error: KafkaError) -> Error {
    // The client handles some events itself, and `poll` returns none for them: it doesn't mean the end.
    for _ in 0..POLL_LIMIT {
        let _ = client.poll(Duration::ZERO);
    }
    client.context().explain(doing, error)
}

/// The settings of a topic that the relay creates.
#[derive(Debug, Clone)]
pub(super) struct TopicConfig {
    pub(super) partitions: u32,
    /// The number of replicas; `None` for the default of the cluster.
    pub(super) replication: Option<u16>,
    /// The retention of records; `None` for the default of the cluster.
    pub(super) retention: Option<Duration>,
}

/// The size limit of a record in a topic that the relay creates: the largest payload and metadata that
/// stores accept by default, with room for the headers.
pub(super) const RECORD_BYTES: u32 = 10 << 20;

pub(super) struct TopicAdmin {
    client: AdminClient<ErrorContext>,
}

impl TopicAdmin {
    pub(super) fn new(kafka: &Kafka) -> Result<Self> {
        let client = kafka.client(&[], &[]).create_with_context(ErrorContext::default());
        Ok(Self { client: client.map_err(|error| client_error("connecting", error))? })
    }

    /// Creates a topic. Succeeds if another process has created it meanwhile: the caller checks it
    /// afterwards.
    pub(super) async fn create(&self, name: &str, config: &TopicConfig) -> Result<()> {
        let doing = "creating a topic";
        let retention = config.retention.map(|time| time.as_millis().to_string());
        let replication = config.replication.map_or(-1, i32::from);
        let partitions = i32::try_from(config.partitions).unwrap_or(i32::MAX);
        let record_bytes = RECORD_BYTES.to_string();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
            .set("cleanup.policy", "delete")
            .set("max.message.bytes", &record_bytes)
            .set("message.timestamp.type", "CreateTime");
        if let Some(retention) = &retention {
            topic = topic.set("retention.ms", retention);
        }
        let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
        let options = options.operation_timeout(Some(REQUEST_TIMEOUT));
        let created = self.client.create_topics([&topic], &options).await;
        let created = created.map_err(|error| client_error(doing, error))?;
        match created.into_iter().find_map(std::result::Result::err) {
            None | Some((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            Some((_, code)) => Err(client_error(doing, KafkaError::AdminOp(code))),
        }
    }

    /// Returns the size limit of a record of a topic in bytes, if this client may know it.
    ///
    /// # Errors
    /// `HW612` if the topic is compacted: it keeps only the last event of a stream.
    pub(super) async fn record_limit(&self, topic: &str) -> Result<Option<u32>> {
        let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
        let described =
            self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
        let described = match described.map(|mut answers| answers.pop()) {
            Ok(Some(Ok(described))) => described,
            // A user who may write to a topic may not be allowed to describe it.
            Ok(_) => return Ok(None),
            Err(error) => return Err(client_error("asking for the limits of a topic", error)),
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
