//! The memory of a catch-up, which does not depend on the length of the log.

use std::{fs, time::Instant};

#[cfg(feature = "kafka")]
use highwater::kafka::{Kafka, KafkaSource, Topics};
use highwater::{Highwater, domain::ViewName, prelude::*};
use highwater_benches::wait;
use serde::{Deserialize, Serialize};

#[cfg(feature = "kafka")]
use crate::domain::Total;
use crate::{
    child::{self, Child},
    domain::Balance,
    ours,
};

/// The length of the long log.
pub(crate) const LONG: u64 = 2_000_000;

/// Measures the growth of a process that catches up with the long log, beside one with a tenth of it.
pub(crate) const FEW_KEYS: &str = "memory, 1,000 keys, 2,000,000 beside 200,000";
#[cfg(feature = "kafka")]
pub(crate) const MANY_KEYS: &str = "memory, 100,000 keys, 2,000,000 beside 200,000";

/// The work of a child: a catch-up of a view, from a topic or from the log itself.
#[derive(Serialize, Deserialize)]
pub(crate) struct Assignment {
    url: String,
    schema: String,
    /// The servers, and the topic.
    kafka: Option<(String, String)>,
}

impl Assignment {
    pub(crate) fn directly(url: &str, schema: &str) -> Self {
        Self { url: url.to_owned(), schema: schema.to_owned(), kafka: None }
    }

    #[cfg(feature = "kafka")]
    pub(crate) fn through(self, kafka: &str, topic: &str) -> Self {
        Self { kafka: Some((kafka.to_owned(), topic.to_owned())), ..self }
    }

    /// Carries the assignment out, in the child, and reports the largest growth of its memory in MiB.
    pub(crate) fn work(self) {
        let bank = wait(ours::open(&self.url, &self.schema));
        child::serve(|_| {
            let before = resident("VmRSS");
            match &self.kafka {
                None => wait(catch_up::<Balance>(&bank, Worker::new(&bank))),
                Some(kafka) => wait(catch_up_from(&bank, kafka)),
            }
            resident("VmHWM") - before
        });
    }
}

#[cfg(feature = "kafka")]
async fn catch_up_from(bank: &Highwater, (servers, topic): &(String, String)) {
    let source = KafkaSource::new(bank, Kafka::at(servers), Topics::one(topic));
    catch_up::<Total>(bank, Worker::new(bank).fed_by(source)).await;
}

#[cfg(not(feature = "kafka"))]
async fn catch_up_from(_: &Highwater, (servers, _): &(String, String)) {
    panic!("this program has no client for {servers}");
}

async fn catch_up<V: View>(bank: &Highwater, worker: Worker) {
    let head = bank.log().head().await.unwrap();
    let worker = worker.view::<V>().start().await.unwrap();
    ours::until_at(bank, &ViewName::new(V::NAME).unwrap(), head, Instant::now()).await;
    worker.stop().await.unwrap();
}

/// Returns the memory of this process in MiB, as the system counts it.
fn resident(what: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1_024.0
}

/// Returns the growth in MiB of a process that catches up.
pub(crate) fn of(assignment: Assignment) -> f64 {
    let mut child = Child::start(&child::Assignment::CatchUp(assignment));
    wait(async {
        child.ready().await;
        child.order(1).await;
        child.answer().await
    })
}
