//! The records as read by other clients: Kafka's own console consumer, and an SDK of CloudEvents.

use std::{env, process::Stdio};

use highwater_core::Position;
use highwater_test_support::{kafka::KafkaCluster, services};
use tokio::process::Command;

use super::fixture::{RelayTask, TopicFixture, in_time};

const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

#[tokio::test]
async fn the_console_of_kafka_shows_events_as_cloud_events() {
    let test = "the_console_of_kafka_shows_events_as_cloud_events";
    let Some(cluster) = KafkaCluster::start(test, 1).await else { return };
    let fixture = TopicFixture::at(cluster.servers());
    fixture.append(1).await;
    let relay = RelayTask::start(fixture.relay().partitions(1));
    relay.has_published(Position::new(1)).await;
    let arguments = format!(
        "--topic {} --from-beginning --timeout-ms 60000 --max-messages 1 --property \
         print.headers=true --property print.key=true",
        fixture.topic
    );
    let printed = cluster.tool(&cluster.servers(), CONSUMER, &arguments, "").await;
    let event = fixture.log().await.remove(0);
    let expected = [
        "ce_specversion:1.0".to_owned(),
        format!("ce_id:{}", event.id),
        "ce_source:/highwater/test".into(),
        format!("ce_type:{}", event.type_name),
        format!("ce_subject:{}", event.stream),
        format!("ce_time:{}", event.recorded_at),
        "content-type:application/json".into(),
        "ce_position:1".into(),
        "ce_previous:0".into(),
        format!("\t{}\t", event.stream),
        "{\"number\":0}".into(),
    ];
    for part in expected {
        assert!(printed.contains(&part), "{part} is not in {printed}");
    }
    relay.stop().await;
}

/// Requires a Python with `cloudevents` (2) and `confluent-kafka`: the one in
/// `HIGHWATER_TEST_PYTHON`, or python3.
#[tokio::test]
async fn an_sdk_of_cloud_events_accepts_every_record() {
    let test = "an_sdk_of_cloud_events_accepts_every_record";
    let python = env::var("HIGHWATER_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let imports = "import cloudevents.core.bindings.kafka, confluent_kafka";
    let has_sdk = Command::new(&python).args(["-c", imports]).stderr(Stdio::null()).status().await;
    if !has_sdk.is_ok_and(|status| status.success()) {
        return services::skip(test, "a Python with cloudevents and confluent-kafka");
    }
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(20).await;
    fixture.publish().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/cloud_events.py");
    let mut reading = Command::new(python);
    reading.args([script, &fixture.bootstrap, &fixture.topic, "20"]).kill_on_drop(true);
    let read = in_time(reading.output()).await.unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let printed = String::from_utf8(read.stdout).unwrap();
    let mut events: Vec<serde_json::Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &serde_json::Value| event["type"] != "highwater.mark")
        .collect();
    events.sort_by_key(|event| event["position"].as_str().unwrap().parse::<u64>().unwrap());
    let log = fixture.log().await;
    assert_eq!(events.len(), log.len());
    for (read, event) in events.iter().zip(&log) {
        assert_eq!(read["id"], event.id.to_string());
        assert_eq!(read["type"], *event.type_name);
        assert_eq!(read["subject"], event.stream.to_string());
        assert_eq!(read["partitionkey"], event.stream.to_string());
        assert_eq!(read["data"]["number"], event.position.get() - 1);
    }
}
