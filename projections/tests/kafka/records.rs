//! Records and topics written by another client.

use std::time::Duration;

use highwater_core::{Envelope, Position};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
        TopicReplication,
    },
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use super::fixture::TopicFixture;

/// A client that knows nothing of Highwater.
pub(crate) struct ForeignClient {
    admin: AdminClient<DefaultClientContext>,
    producer: FutureProducer,
    topic: String,
}

impl ForeignClient {
    pub(crate) fn of(fixture: &TopicFixture) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &fixture.bootstrap);
        let (admin, producer) = (config.create().unwrap(), config.create().unwrap());
        Self { admin, producer, topic: fixture.topic.clone() }
    }

    fn options() -> AdminOptions {
        let patience = Some(Duration::from_secs(20));
        AdminOptions::new().request_timeout(patience).operation_timeout(patience)
    }

    pub(crate) async fn create(&self, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let made = self.admin.create_topics([&topic], &Self::options()).await.unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
    }

    pub(crate) async fn delete(&self) {
        let gone = self.admin.delete_topics(&[&self.topic], &Self::options()).await.unwrap();
        gone.into_iter().for_each(|gone| drop(gone.unwrap()));
    }

    pub(crate) async fn set(&self, name: &str, value: &str) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(&self.topic)).set(name, value);
        let set = self.admin.alter_configs([&change], &Self::options()).await.unwrap();
        set.into_iter().for_each(|set| drop(set.unwrap()));
    }

    pub(crate) async fn add_partitions(&self, count: usize) {
        let more = NewPartitions::new(&self.topic, count);
        let made = self.admin.create_partitions([&more], &Self::options()).await.unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
    }

    /// Deletes all current records of the topic.
    pub(crate) async fn truncate(&self, partitions: i32) {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(&self.topic, partition, Offset::End).unwrap();
        }
        let done = self.admin.delete_records(&list, &Self::options()).await.unwrap();
        done.elements().iter().for_each(|element| element.error().unwrap());
    }

    /// Writes a record.
    pub(crate) async fn write(
        &self,
        partition: i32,
        key: Option<&str>,
        payload: &[u8],
        headers: OwnedHeaders,
    ) {
        let mut record = FutureRecord::<str, [u8]>::to(&self.topic)
            .partition(partition)
            .payload(payload)
            .headers(headers);
        record.key = key;
        self.producer.send(record, Duration::from_secs(20)).await.unwrap();
    }

    /// Writes an event like a relay whose previous event in the partition is `previous`.
    pub(crate) async fn forge(&self, partition: i32, event: &Envelope, previous: Position) {
        let headers = OwnedHeaders::new();
        let all = [
            ("ce_position", event.position.to_string()),
            ("ce_previous", previous.to_string()),
            ("ce_type", event.type_name.to_string()),
            ("ce_time", event.recorded_at.to_string()),
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", event.id.to_string()),
            ("ce_source", "/by/hand".to_owned()),
            ("ce_streamversion", event.version.to_string()),
            ("ce_schemaversion", event.schema_version.to_string()),
            ("ce_commandid", event.command.to_string()),
            ("ce_tags", serde_json::to_string(&event.tags).unwrap()),
        ];
        let headers = all.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        self.write(partition, Some(event.stream.as_str()), &event.payload, headers).await;
    }
}
