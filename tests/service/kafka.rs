//! Readiness in the failure states of Kafka: not ready with the reason, and ready again (O5).

use std::time::Duration;

use highwater::{
    Highwater, View, Worker,
    kafka::{Kafka, KafkaSource, Relay, RelayStatus, Topics},
    prelude::*,
};
use highwater_test_support::{
    bank::{Account, Balance, Deposit, banks},
    kafka::KafkaCluster,
    services,
    tally::Tally,
};
use serde_json::Value;

use crate::{probe::until_said, served::Served};

const DELETE: &str = "org.apache.kafka.tools.DeleteRecordsCommand";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

/// A relay and workers of one topic.
struct KafkaServices {
    bank: Highwater,
    topics: Topics,
}

impl KafkaServices {
    /// Creates the services on the store that is closest to production.
    async fn new() -> Self {
        let bank = banks().pop().unwrap().open().await;
        Self { bank, topics: Topics::one("bank") }
    }

    fn relay(&self, kafka: &Kafka) -> Relay {
        Relay::new(&self.bank, kafka.clone(), self.topics.clone()).partitions(2)
    }

    fn publishing(&self, kafka: &Kafka) -> Served {
        let relay = self.relay(kafka);
        Served::start(|_| {}, |service| service.relay(relay))
    }

    fn working<V: View>(&self, kafka: &Kafka) -> Served {
        let source = KafkaSource::new(&self.bank, kafka.clone(), self.topics.clone());
        let worker = Worker::new(&self.bank).fed_by(source.clone()).view::<V>();
        Served::start(|_| {}, |service| service.worker(worker).source(&source))
    }

    /// Starts more workers than there are shards.
    fn spares(&self, kafka: &Kafka) -> [Served; 3] {
        [
            self.working::<Balance>(kafka),
            self.working::<Balance>(kafka),
            self.working::<Tally>(kafka),
        ]
    }

    /// Returns the number of events of the row once the view has applied this receipt.
    async fn events_after(&self, receipt: &Receipt) -> u64 {
        let alice = self.bank.view::<Balance>().get("alice").after(receipt);
        alice.within(Duration::from_secs(120)).await.unwrap().events
    }

    async fn deposit(&self) -> Receipt {
        self.bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap()
    }
}

/// Starts a cluster, and returns the settings of clients that soon detect its failure and recovery.
async fn cluster(test: &str) -> Option<(KafkaCluster, Kafka)> {
    let cluster = KafkaCluster::start(test, 1).await?;
    let kafka = Kafka::at(cluster.servers())
        .setting("reconnect.backoff.max.ms", "500")
        .setting("session.timeout.ms", "2000")
        .setting("heartbeat.interval.ms", "400");
    Some((cluster, kafka))
}

/// Returns a condition: the first projection is not ready, and Kafka in this state.
fn is_fed_badly(state: &'static str) -> impl Fn(u16, &Value) -> bool {
    move |status, report| status == 503 && report["projections"][0]["kafka"] == state
}

fn is_ready(status: u16, _: &Value) -> bool {
    status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_services_whose_broker_is_gone_are_not_ready_until_it_is_back() {
    let test = "o5_services_whose_broker_is_gone_are_not_ready_until_it_is_back";
    let Some((mut cluster, kafka)) = cluster(test).await else { return };
    let services = KafkaServices::new().await;
    let relay = services.publishing(&kafka);
    until_said(relay.address, is_ready).await;
    let workers = [services.working::<Balance>(&kafka), services.working::<Tally>(&kafka)];
    for worker in &workers {
        until_said(worker.address, |status, report| {
            is_ready(status, report) && report["projections"][0]["kafka"] == "consuming"
        })
        .await;
    }
    // There are two partitions, and one shard by key: the spare workers are idle, and ready.
    let spare = services.spares(&kafka);
    for worker in &spare {
        until_said(worker.address, is_ready).await;
    }
    cluster.kill(1);
    for worker in &workers {
        let report = until_said(worker.address, is_fed_badly("broker_gone")).await;
        assert_eq!(report["ready"], false);
    }
    let last = services.deposit().await;
    let report = until_said(relay.address, |status, _| status == 503).await;
    assert_eq!(report["relays"][0]["error"]["code"], "HW305");
    // Workers that start now stay ready as well.
    let late = services.spares(&kafka);
    for worker in &late {
        let says_why = |status, report: &Value| {
            status == 503 && report["projections"][0]["error"]["code"] == "HW305"
        };
        until_said(worker.address, says_why).await;
    }
    cluster.restart(1).await;
    for served in workers.iter().chain([&relay]).chain(&spare).chain(&late) {
        until_said(served.address, is_ready).await;
    }
    assert_eq!(services.events_after(&last).await, 1);
    for served in workers.into_iter().chain([relay]).chain(spare).chain(late) {
        served.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_worker_without_a_topic_is_not_ready_until_a_relay_has_created_it() {
    let test = "o5_a_worker_without_a_topic_is_not_ready_until_a_relay_has_created_it";
    let Some(servers) = services::kafka_servers(test) else { return };
    let kafka = Kafka::at(servers);
    let mut services = KafkaServices::new().await;
    services.topics = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
    let workers = [services.working::<Balance>(&kafka), services.working::<Tally>(&kafka)];
    for worker in &workers {
        let waits = |status, report: &Value| {
            status == 503 && report["projections"][0]["error"]["code"] == "HW307"
        };
        until_said(worker.address, waits).await;
    }
    until_said(workers[1].address, is_fed_badly("topic_missing")).await;
    let relay = services.publishing(&kafka);
    for served in workers.iter().chain([&relay]) {
        until_said(served.address, is_ready).await;
    }
    for served in workers.into_iter().chain([relay]) {
        served.stop().await.unwrap();
    }
}

/// The leaders of the new topic have younger epochs than those that the clients of the workers have seen,
/// because the broker had been restarted.
#[tokio::test(flavor = "multi_thread")]
async fn o5_workers_go_on_after_their_topic_was_deleted_and_recreated() {
    let test = "o5_workers_go_on_after_their_topic_was_deleted_and_recreated";
    let Some((mut cluster, kafka)) = cluster(test).await else { return };
    let services = KafkaServices::new().await;
    let relay = services.publishing(&kafka);
    until_said(relay.address, is_ready).await;
    let workers = [services.working::<Balance>(&kafka), services.working::<Tally>(&kafka)];
    let spare = services.spares(&kafka);
    for worker in workers.iter().chain(&spare) {
        until_said(worker.address, is_ready).await;
    }
    cluster.kill(1);
    cluster.restart(1).await;
    let last = services.deposit().await;
    assert_eq!(services.events_after(&last).await, 1);
    for worker in workers.iter().chain(&spare) {
        until_said(worker.address, is_ready).await;
    }
    relay.stop().await.unwrap();
    cluster.tool(&cluster.servers(), TOPICS, "--delete --topic bank", "").await;
    for worker in workers.iter().chain(&spare[..2]) {
        let says_why = |status, report: &Value| {
            is_fed_badly("topic_missing")(status, report)
                && report["projections"][0]["error"]["code"] == "HW307"
        };
        until_said(worker.address, says_why).await;
    }
    let relay = services.publishing(&kafka);
    for served in workers.iter().chain(&spare).chain([&relay]) {
        until_said(served.address, is_ready).await;
    }
    let last = services.deposit().await;
    assert_eq!(services.events_after(&last).await, 2);
    let tally = services.bank.view::<Tally>().get("alice").after(&last);
    assert_eq!(tally.within(Duration::from_secs(120)).await.unwrap().events, 2);
    for served in workers.into_iter().chain(spare).chain([relay]) {
        served.stop().await.unwrap();
    }
}

/// A running client can't change its credentials: it reports the error until an operator restarts it.
#[tokio::test(flavor = "multi_thread")]
async fn o5_services_with_wrong_credentials_for_kafka_report_it_and_are_ready_with_right_ones() {
    let test =
        "o5_services_with_wrong_credentials_for_kafka_report_it_and_are_ready_with_right_ones";
    let Some((cluster, kafka)) = cluster(test).await else { return };
    let services = KafkaServices::new().await;
    let relay = services.publishing(&kafka);
    until_said(relay.address, is_ready).await;
    let with = |password: &str| {
        Kafka::at(cluster.sasl_server(1))
            .setting("security.protocol", "SASL_PLAINTEXT")
            .setting("sasl.mechanism", "PLAIN")
            .setting("sasl.username", "alice")
            .setting("sasl.password", password)
    };
    let refused = services.working::<Tally>(&with("guessed"));
    let report = until_said(refused.address, is_fed_badly("wrong_credentials")).await;
    assert_eq!(report["ready"], false);
    let stopped = |_, report: &Value| report["projections"][0]["state"] == "stopped";
    let report = until_said(refused.address, stopped).await;
    assert_eq!(report["projections"][0]["error"]["code"], "HW605");
    assert!(!report.to_string().contains("guessed"), "{report}");
    assert_eq!(refused.stop().await.unwrap_err().code().as_str(), "HW605");
    // The broker decides the sharding of a view by stream, so its service can't even start.
    let error = services.working::<Balance>(&with("guessed")).ended().await.unwrap_err();
    assert_eq!(error.code().as_str(), "HW605", "{error}");
    let refused = services.relay(&with("guessed")).named("refused");
    let refused = Served::start(|_| {}, |service| service.relay(refused));
    let report = until_said(refused.address, |_, report| !report["relays"][0]["error"].is_null());
    assert_eq!(report.await["relays"][0]["error"]["code"], "HW605");
    refused.stop().await.unwrap();

    let workers =
        [services.working::<Balance>(&with("secret")), services.working::<Tally>(&with("secret"))];
    for worker in workers {
        until_said(worker.address, is_ready).await;
        worker.stop().await.unwrap();
    }
    relay.stop().await.unwrap();
}

/// Nothing is lost, so the worker stays ready; but it reports the truncation.
#[tokio::test(flavor = "multi_thread")]
async fn o5_a_worker_whose_topic_was_truncated_reports_it_and_continues_from_the_log() {
    let test = "o5_a_worker_whose_topic_was_truncated_reports_it_and_continues_from_the_log";
    let Some((cluster, kafka)) = cluster(test).await else { return };
    let services = KafkaServices::new().await;
    let relay = services.relay(&kafka);
    let mut relayed = relay.status();
    let relay = Served::start(|_| {}, |service| service.relay(relay));
    for _ in 0..20 {
        services.deposit().await;
    }
    let last = services.deposit().await;
    let worker = services.working::<Balance>(&kafka);
    until_said(worker.address, is_ready).await;
    assert_eq!(services.events_after(&last).await, 21);
    worker.stop().await.unwrap();
    let last = services.deposit().await;
    let has_last = |status: &RelayStatus| matches!(status, RelayStatus::Leading { published } if *published >= last.position());
    relayed.wait_for(has_last).await.unwrap();
    relay.stop().await.unwrap();
    truncate(&cluster).await;

    // The relay writes a mark to each partition at its start, and then none until there is an
    // event.
    let rare = Duration::from_secs(600);
    let marking = services.relay(&kafka).idle_interval(rare);
    let marking = Served::start(|_| {}, |service| service.relay(marking));
    until_said(marking.address, is_ready).await;
    let worker = services.working::<Balance>(&kafka);
    let report =
        until_said(worker.address, |_, report| report["projections"][0]["kafka"] == "truncated");
    assert_eq!(report.await["ready"], true);
    assert_eq!(services.events_after(&last).await, 22);
    services.deposit().await;
    until_said(worker.address, |status, report| {
        is_ready(status, report) && report["projections"][0]["kafka"] == "consuming"
    })
    .await;
    worker.stop().await.unwrap();
    marking.stop().await.unwrap();
}

/// Deletes all records of the topic.
async fn truncate(cluster: &KafkaCluster) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offsets.json");
    let of = |partition| format!(r#"{{"topic":"bank","partition":{partition},"offset":-1}}"#);
    let partitions = format!("{},{}", of(0), of(1));
    std::fs::write(&file, format!(r#"{{"version":1,"partitions":[{partitions}]}}"#)).unwrap();
    let arguments = format!("--offset-json-file {}", file.display());
    cluster.tool(&cluster.servers(), DELETE, &arguments, "").await;
}
