//! The properties of the private cluster on which other tests rely, verified with Kafka's own
//! tools.

use std::time::Duration;

use highwater_test_support::kafka::KafkaCluster;

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const VERSIONS: &str = "org.apache.kafka.tools.BrokerApiVersionsCommand";
const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

async fn create_topic(cluster: &KafkaCluster) {
    let create = "--create --topic letters --partitions 3";
    cluster.tool(&cluster.servers(), TOPICS, create, "").await;
}

/// Writes lines, and returns when all in-sync replicas have acknowledged them.
async fn write(cluster: &KafkaCluster, lines: &str) {
    let acknowledged = "--topic letters --producer-property acks=all";
    cluster.tool(&cluster.servers(), PRODUCER, acknowledged, lines).await;
}

/// Reads lines through one server, in any order.
async fn read(cluster: &KafkaCluster, node: usize, count: usize) -> Vec<String> {
    let all = format!("--topic letters --from-beginning --timeout-ms 60000 --max-messages {count}");
    let printed = cluster.tool(&cluster.server(node), CONSUMER, &all, "").await;
    let mut lines: Vec<_> = printed.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

async fn all_in_sync(cluster: &KafkaCluster) -> bool {
    let lagging = "--describe --under-replicated-partitions";
    cluster.tool(&cluster.servers(), TOPICS, lagging, "").await.is_empty()
}

async fn in_time(waiting: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
}

#[tokio::test]
async fn a_single_server_keeps_its_records_over_a_kill() {
    let Some(mut cluster) =
        KafkaCluster::start("a_single_server_keeps_its_records_over_a_kill", 1).await
    else {
        return;
    };
    create_topic(&cluster).await;
    write(&cluster, "a\nb\n").await;
    assert!(cluster.is_alive(1).await);
    cluster.kill(1);
    assert!(!cluster.is_alive(1).await);
    cluster.restart(1).await;
    write(&cluster, "c\n").await;
    assert_eq!(read(&cluster, 1, 3).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn two_of_three_servers_keep_working_and_the_third_catches_up() {
    let Some(mut cluster) =
        KafkaCluster::start("two_of_three_servers_keep_working_and_the_third_catches_up", 3).await
    else {
        return;
    };
    create_topic(&cluster).await;
    let described = cluster.tool(&cluster.servers(), TOPICS, "--describe", "").await;
    assert!(described.contains("ReplicationFactor: 3"), "{described}");
    assert!(described.contains("min.insync.replicas=2"), "{described}");
    write(&cluster, "a\n").await;
    cluster.kill(2);
    write(&cluster, "b\n").await;
    assert!(!cluster.is_alive(2).await);
    cluster.restart(2).await;
    in_time(async { while !all_in_sync(&cluster).await {} }).await;
    assert_eq!(read(&cluster, 2, 2).await, ["a", "b"]);
    let versions = cluster.tool(&cluster.server(2), VERSIONS, "", "").await;
    let living = versions.lines().filter(|line| line.contains("(id: ")).count();
    assert_eq!(living, 3, "{versions}");
}

#[tokio::test]
async fn a_paused_server_is_silent_until_it_resumes() {
    let Some(cluster) = KafkaCluster::start("a_paused_server_is_silent_until_it_resumes", 1).await
    else {
        return;
    };
    cluster.pause(1);
    assert!(!cluster.is_alive(1).await);
    cluster.resume(1);
    in_time(async { while !cluster.is_alive(1).await {} }).await;
    create_topic(&cluster).await;
    write(&cluster, "a\n").await;
    assert_eq!(read(&cluster, 1, 1).await, ["a"]);
}
