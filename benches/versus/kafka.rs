//! The works with Kafka: a relay publishes the log of PostgreSQL, and views on PostgreSQL are fed from the topic.

use std::{
    cell::LazyCell,
    time::{Duration, Instant},
};

use highwater::{
    Highwater,
    domain::ViewName,
    kafka::{Kafka, KafkaSource, Relay, RelayStatus, Topics},
    prelude::*,
    worker::ProjectionOptions,
};
use highwater_benches::{Bench, Place, Routine, wait};
use tokio::sync::oneshot;

use crate::{
    FOLLOWED,
    domain::{ACCOUNTS, Balance, Total},
    memory::{self, LONG},
    ours,
    paced::{self, Fed, PER_SECOND},
    raw_kafka::{self, Headers},
    raw_own, raw_postgres,
    servers::{self, FREE},
};

const WITH: Place = Place { store: "Kafka", flush: FREE };

/// The number of accounts in the log with many keys.
const MANY: u64 = 100_000;

pub(crate) fn all(bench: &mut Bench) {
    let (Some(programs), Some(libs)) = (servers::programs(), servers::kafka_libs()) else { return };
    let cluster = LazyCell::new(|| servers::postgres(&programs, FREE));
    let url = LazyCell::new(|| cluster.url());
    let brokers = LazyCell::new(|| wait(servers::kafka(libs.clone())));
    let kafka = LazyCell::new(|| brokers.servers());
    let few = LazyCell::new(|| Published::new(&url, &kafka, ACCOUNTS, FOLLOWED));
    let many = LazyCell::new(|| Published::new(&url, &kafka, MANY, FOLLOWED));
    bench.versus(
        WITH.events("relay, beside the same records", FOLLOWED).at_least(0.6),
        || raw_kafka::produces(&kafka, Headers::LikeOurs, FOLLOWED),
        || few.publishes(),
    );
    bench.versus(
        WITH.events("relay, beside records without headers", FOLLOWED),
        || raw_kafka::produces(&kafka, Headers::None, FOLLOWED),
        || few.publishes(),
    );
    bench.versus(
        WITH.events("catch-up of a view of 1,000 keys", FOLLOWED).at_least(0.3),
        || few.consumed_by_hand(),
        || few.follows::<Total>(),
    );
    bench.versus(
        WITH.events("catch-up by partition, 1,000 keys", FOLLOWED),
        || few.consumed_by_hand(),
        || few.follows::<Balance>(),
    );
    bench.versus(
        WITH.events("catch-up of a view of 100,000 keys", FOLLOWED).at_least(0.15),
        || many.consumed_by_hand(),
        || many.follows::<Total>(),
    );
    let long = LazyCell::new(|| Published::new(&url, &kafka, ACCOUNTS, LONG));
    bench.weigh(WITH.memory(memory::FEW_KEYS), || few.weighs(), || long.weighs());
    let long = LazyCell::new(|| Published::new(&url, &kafka, MANY, LONG));
    bench.weigh(WITH.memory(memory::MANY_KEYS), || many.weighs(), || long.weighs());
    let prepared = || wait(raw_postgres::prepare(&url));
    let fed = || Fed::through_kafka(&url, &kafka);
    bench.deliver(
        WITH.pace("command to view", "2,000/s"),
        [Some(5.0), Some(30.0)],
        || {
            prepared();
            wait(raw_kafka::paced(&url, &kafka, PER_SECOND))
        },
        || wait(async { paced::seeing(fed().await).await }),
    );
    bench.deliver(
        WITH.pace("read-your-writes after the command", "2,000/s"),
        [Some(6.0), Some(35.0)],
        || {
            prepared();
            wait(raw_own::through_kafka(&url, &kafka, PER_SECOND))
        },
        || paced::asking(wait(fed())),
    );
}

/// A log with a number of events and accounts, and a topic that has the whole log.
struct Published {
    bank: Highwater,
    url: String,
    schema: String,
    kafka: String,
    topic: String,
}

impl Published {
    fn new(url: &str, kafka: &str, accounts: u64, events: u64) -> Self {
        wait(async {
            let schema = format!("of_{accounts}_{events}");
            let bank = ours::open(url, &schema).await;
            ours::fill(&bank, accounts, events).await;
            raw_postgres::settle(url, &schema).await;
            let (url, kafka) = (url.to_owned(), kafka.to_owned());
            let topic = raw_kafka::topic(&kafka).await;
            let published = Self { bank, url, schema, kafka, topic };
            published.publish(&published.topic).await;
            published
        })
    }

    /// Returns the time from the start of a relay until the whole log is acknowledged.
    async fn publish(&self, topic: &str) -> Duration {
        let head = self.bank.log().head().await.unwrap();
        let began = Instant::now();
        let relay = Relay::new(&self.bank, Kafka::at(&self.kafka), Topics::one(topic)).named(topic);
        let (mut status, (stop, stopped)) = (relay.status(), oneshot::channel::<()>());
        let running = tokio::spawn(relay.run(async { drop(stopped.await) }));
        let is_done = |status: &RelayStatus| matches!(status, RelayStatus::Leading { published } if *published >= head);
        status.wait_for(is_done).await.unwrap();
        let took = began.elapsed();
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
        took
    }

    fn publishes(&self) -> impl Routine {
        |times| {
            let publish = |_| {
                wait(async {
                    let topic = raw_kafka::topic(&self.kafka).await;
                    let took = self.publish(&topic).await;
                    raw_kafka::forget(&self.kafka, &topic).await;
                    took
                })
            };
            (0..times).map(publish).sum()
        }
    }

    /// Returns the growth in MiB of a process that feeds a view of it.
    fn weighs(&self) -> f64 {
        wait(raw_postgres::forget(&self.url, &self.schema, Total::NAME));
        let directly = memory::Assignment::directly(&self.url, &self.schema);
        memory::of(directly.through(&self.kafka, &self.topic))
    }

    fn consumed_by_hand(&self) -> impl Routine + use<> {
        raw_kafka::consumes(&self.kafka, &self.topic, FOLLOWED)
    }

    /// Returns the time from the start of a worker until its view has received the whole log from Kafka.
    fn follows<V: View>(&self) -> impl Routine {
        |times| {
            let follow = |_| {
                wait(raw_postgres::forget(&self.url, &self.schema, V::NAME));
                wait(self.follow::<V>())
            };
            (0..times).map(follow).sum()
        }
    }

    async fn follow<V: View>(&self) -> Duration {
        let head = self.bank.log().head().await.unwrap();
        let began = Instant::now();
        let source = KafkaSource::new(&self.bank, Kafka::at(&self.kafka), Topics::one(&self.topic));
        let options = ProjectionOptions::default().batch(10_000);
        let worker = Worker::new(&self.bank).fed_by(source).view_with::<V>(options);
        let worker = worker.start().await.unwrap();
        let took = ours::until_at(&self.bank, &ViewName::new(V::NAME).unwrap(), head, began).await;
        worker.stop().await.unwrap();
        took
    }
}
