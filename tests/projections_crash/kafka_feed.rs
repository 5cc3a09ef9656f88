//! R1, fed by Kafka: views equal the fold of the log after faults of workers, relays and servers.

use std::{
    thread,
    time::{Duration, Instant},
};

use highwater::{
    Highwater,
    kafka::{Kafka, KafkaSource, Relay, Topics},
};
use highwater_test_support::{
    faults::FaultDeck,
    fleet::{FaultPlan, Fleet},
    kafka::KafkaCluster,
    postgres::PostgresCluster,
    run::{min_events, seed},
};
use tokio::runtime::Runtime;

use crate::{
    checker, duration,
    kafka_topic::{self, Fate, PARTITIONS, TOPIC},
    worker_process::{LEASE, Orders, Task},
    writer::{self, Keyspace, WriteLoad},
};

/// The session timeout of a member of a group.
const SESSION: Duration = Duration::from_secs(2);

fn client(orders: &Orders) -> Kafka {
    Kafka::at(orders.kafka.as_deref().unwrap())
        .setting("session.timeout.ms", SESSION.as_millis().to_string())
        .setting("heartbeat.interval.ms", "400")
        .setting("reconnect.backoff.max.ms", "500")
        .setting("topic.metadata.refresh.interval.ms", "1000")
}

/// Returns the relay of a child.
pub(crate) fn relay(bank: &Highwater, orders: &Orders) -> Relay {
    Relay::new(bank, client(orders), Topics::one(TOPIC))
        .partitions(PARTITIONS)
        .lease(LEASE)
        .idle_interval(Duration::from_millis(200))
}

/// Returns the source of a child.
pub(crate) fn source(bank: &Highwater, orders: &Orders) -> KafkaSource {
    KafkaSource::new(bank, client(orders), Topics::one(TOPIC)).lease(LEASE)
}

/// A fault of a single server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The server is killed and started again.
    KillServer,
    /// The topic is deleted, and a relay creates it anew.
    RecreateTopic,
}

impl Fault {
    fn inject(self, brokers: &mut KafkaCluster, runtime: &Runtime) {
        match self {
            Self::KillServer => {
                brokers.kill(1);
                runtime.block_on(brokers.restart(1));
            }
            Self::RecreateTopic => runtime.block_on(kafka_topic::recreate(brokers)),
        }
    }
}

/// Writes while faults are injected into workers and relays, and calls `between` every few seconds, until it returns true
/// because each of its own faults has been injected. Then checks the views and the topic.
fn run_with_faults(
    orders: Orders,
    brokers: &mut KafkaCluster,
    seed: u64,
    fate: Fate,
    mut between: impl FnMut(&mut KafkaCluster, &Runtime) -> bool,
) {
    let time = duration() * 2;
    let keys = Keyspace::for_events((3_000 * time.as_secs()).max(min_events()) as u32);
    let runtime = Runtime::new().unwrap();
    let bank = runtime.block_on(orders.open()).unwrap();
    let load = WriteLoad { tasks: 4, batch: 20, rest: Duration::from_millis(20) };
    let writing = writer::start(runtime.handle(), &bank, seed, keys, load);
    let relaying = Orders { task: Task::Relay, ..orders.clone() };
    let mut relays =
        Fleet::start(relaying, 2, FaultPlan { interval: 500..2_000, lease: LEASE }, seed);
    let mut workers =
        Fleet::start(orders, 3, FaultPlan { interval: 300..2_500, lease: SESSION }, !seed);
    let until = Instant::now() + time;
    let mut is_complete = false;
    while Instant::now() < until || writing.written() < min_events() || !is_complete {
        workers.inject_faults_for(Duration::from_secs(3));
        relays.inject_faults_for(Duration::from_secs(1));
        is_complete = between(brokers, &runtime);
    }
    workers.wait_until_thawed();
    relays.wait_until_thawed();
    let written = runtime.block_on(writing.stop());
    let calm = Instant::now();
    let findings = runtime.block_on(checker::check(&bank, &keys));
    let caught_up = calm.elapsed();
    println!(
        "{written} events; workers {:?}, relays {:?}",
        workers.shut_down(),
        relays.shut_down()
    );
    println!("caught up and checked after {caught_up:?}");
    checker::assert_no_findings(&findings);
    let records = runtime.block_on(kafka_topic::records(brokers));
    println!("{} records of events", records.len());
    let findings = runtime.block_on(kafka_topic::findings_of(&**bank.log(), &records, fate));
    checker::assert_no_findings(&findings);
    assert!(
        written > 5_000 && written >= min_events(),
        "too few events or faults to be conclusive"
    );
}

/// Starts a private PostgreSQL and Kafka. Skips the test if their programs are missing.
fn clusters(test: &str, servers: usize) -> Option<(PostgresCluster, KafkaCluster)> {
    let cluster = PostgresCluster::start(test)?;
    let brokers = Runtime::new().unwrap().block_on(KafkaCluster::start(test, servers))?;
    Some((cluster, brokers))
}

fn orders(cluster: &PostgresCluster, brokers: &KafkaCluster) -> Orders {
    let kafka = Some(brokers.servers());
    Orders { kafka, ..Orders::direct(Task::Ledger, &cluster.url(), 3) }
}

#[test]
fn r1_kafka_views_are_the_fold_of_the_log_over_kills_of_workers_relays_and_the_server() {
    let test = "r1_kafka_views_are_the_fold_of_the_log_over_kills";
    let Some((cluster, mut brokers)) = clusters(test, 1) else { return };
    let seed = seed();
    let mut deck = FaultDeck::new(&[Fault::KillServer, Fault::RecreateTopic], seed);
    let orders = orders(&cluster, &brokers);
    run_with_faults(orders, &mut brokers, seed, Fate::Recreated, |brokers, runtime| {
        deck.draw().inject(brokers, runtime);
        deck.is_complete()
    });
}

#[test]
fn r1_kafka_views_are_the_fold_of_the_log_with_one_of_three_servers_missing() {
    let Some((cluster, mut brokers)) =
        clusters("r1_kafka_views_are_the_fold_of_the_log_with_one_of_three_servers_missing", 3)
    else {
        return;
    };
    let mut missing = None;
    let orders = orders(&cluster, &brokers);
    run_with_faults(orders, &mut brokers, seed(), Fate::Kept, |brokers, runtime| {
        let next = missing.map_or(1, |missing: usize| missing % 3 + 1);
        if let Some(missing) = missing.replace(next) {
            runtime.block_on(brokers.restart(missing));
            // Two of three replicas must be in sync, so a restarted broker must catch up first.
            runtime.block_on(kafka_topic::in_sync(brokers));
        }
        brokers.kill(next);
        true
    });
}

/// Runs with the views in one database and the log in another. Both servers fail.
#[test]
fn r1_kafka_views_in_another_store_are_the_fold_of_the_log_over_crashes_of_both_stores() {
    let test =
        "r1_kafka_views_in_another_store_are_the_fold_of_the_log_over_crashes_of_both_stores";
    let Some((cluster, mut brokers)) = clusters(test, 1) else { return };
    let elsewhere = PostgresCluster::start(test).unwrap();
    let orders = Orders { views: Some(elsewhere.url()), ..orders(&cluster, &brokers) };
    let mut turn = 0;
    run_with_faults(orders, &mut brokers, seed(), Fate::Kept, |_, _| {
        turn += 1;
        let cluster = if turn % 2 == 0 { &cluster } else { &elsewhere };
        cluster.crash();
        thread::sleep(Duration::from_millis(300));
        cluster.restart();
        turn >= 2
    });
}

/// Runs with the views in a file, and the log in a server.
#[test]
fn r1_kafka_views_in_sqlite_are_the_fold_of_the_log_in_postgres() {
    let test = "r1_kafka_views_in_sqlite_are_the_fold_of_the_log_in_postgres";
    let Some((cluster, mut brokers)) = clusters(test, 1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let views = format!("sqlite:{}", folder.path().join("views.db").display());
    let orders = Orders { views: Some(views), ..orders(&cluster, &brokers) };
    run_with_faults(orders, &mut brokers, seed(), Fate::Kept, |_, _| true);
}
