//! The records of the topic, read with Kafka's own tools.

use std::time::Instant;

use highwater::{
    Position, Query,
    port::{EventStore, ReadFrom},
    value::Sharding,
};
use highwater_test_support::kafka::KafkaCluster;

use crate::{
    checker::CATCH_UP_TIMEOUT,
    findings::{Finding, Record, of_topic},
};

pub(crate) const TOPIC: &str = "bank";
pub(crate) const PARTITIONS: u32 = 12;

const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

/// The fate of the topic during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Recreated,
}

/// Deletes the topic, and waits until the relay has created it again.
pub(crate) async fn recreate(cluster: &KafkaCluster) {
    cluster.tool(&cluster.servers(), TOPICS, &format!("--delete --topic {TOPIC}"), "").await;
    let until = Instant::now() + CATCH_UP_TIMEOUT;
    while !cluster
        .tool(&cluster.servers(), TOPICS, "--list", "")
        .await
        .lines()
        .any(|one| one == TOPIC)
    {
        assert!(Instant::now() < until, "no relay creates the topic");
    }
}

/// Returns the findings of a topic, given its records. One that was recreated need not have the events that the former one
/// had: those before its first record of each partition.
pub(crate) async fn findings_of(
    log: &dyn EventStore,
    records: &[Record],
    fate: Fate,
) -> Vec<Finding> {
    let (sharding, mut after) = (Sharding::by_stream(PARTITIONS), Position::START);
    let mut right = vec![Vec::new(); PARTITIONS as usize];
    loop {
        let page = log.read_log(&Query::all(), ReadFrom::After(after), 1_000).await.unwrap();
        for event in &page.events {
            let partition = sharding.shard_of(event.stream.as_str()).get();
            right[partition as usize].push(event.position.get());
        }
        after = page.through;
        if !page.more {
            let former = match fate {
                Fate::Kept => Vec::new(),
                Fate::Recreated => records_before(&right, records),
            };
            return of_topic(TOPIC, &right, &[former.as_slice(), records].concat());
        }
    }
}

/// Returns the records that the former topic had of the events before the first record of each partition.
pub(crate) fn records_before(right: &[Vec<u64>], records: &[Record]) -> Vec<Record> {
    let mut former = Vec::new();
    for (partition, right) in (0..).zip(right) {
        let of_partition = records.iter().filter(|record| record.partition == partition);
        let first = of_partition.min_by_key(|record| record.offset);
        let (first, mut previous) = (first.map_or(u64::MAX, |record| record.position), 0);
        for (offset, position) in (i64::MIN..).zip(right.iter().take_while(|at| **at < first)) {
            former.push(Record { position: *position, previous, partition, offset });
            previous = *position;
        }
    }
    former
}

/// Reads the records of events, without the marks.
pub(crate) async fn records(cluster: &KafkaCluster) -> Vec<Record> {
    let count = count(cluster).await;
    let all = format!(
        "--topic {TOPIC} --from-beginning --max-messages {count} --timeout-ms 120000 \
         --property print.headers=true --property print.partition=true \
         --property print.offset=true --property print.value=false"
    );
    let printed = cluster.tool(&cluster.servers(), CONSUMER, &all, "").await;
    // The tool also prints a summary.
    let records = printed.lines().filter(|line| line.starts_with("Partition:"));
    records.filter(|line| !line.contains("ce_type:highwater.mark")).map(record).collect()
}

/// Counts the records, so that the tool needn't wait for another one to know that there is none.
async fn count(cluster: &KafkaCluster) -> u64 {
    let ends = format!("--topic {TOPIC} --time latest");
    let printed = cluster.tool(&cluster.servers(), OFFSETS, &ends, "").await;
    let end = |line: &str| line.rsplit(':').next().unwrap().parse::<u64>().unwrap();
    printed.lines().map(end).sum()
}

/// Parses a line such as `Partition:3 Offset:14 ce_position:15,ce_previous:9,…`.
fn record(line: &str) -> Record {
    let number = |name| {
        let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line}"));
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<u64>().unwrap()
    };
    Record {
        position: number("ce_position:"),
        previous: number("ce_previous:"),
        partition: number("Partition:") as u32,
        offset: number("Offset:") as i64,
    }
}

/// Waits until every replica is in sync.
pub(crate) async fn in_sync(cluster: &KafkaCluster) {
    let lagging = "--describe --under-replicated-partitions";
    while !cluster.tool(&cluster.servers(), TOPICS, lagging, "").await.is_empty() {}
}
