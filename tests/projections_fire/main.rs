//! Real processes, real kills: what views keep when everything around them breaks (R1, R4).
//!
//! | File | What is in it |
//! |---|---|
//! | `checker`, `finding` | tells what a view or a topic has skipped, repeated or disordered |
//! | `planted` | that the checker finds what is planted |
//! | `writer` | tasks that append while the fire burns |
//! | `child` | a worker in a process of its own: this test binary again |
//! | `fleet` | several of them, killed, frozen and stopped at random |
//! | `kafka`, `kafka_topic` | R1 fed by Kafka, its servers and relays killed too; what is in the topic |
//! | `direct` | R1 fed by the log, on PostgreSQL and SQLite |
//! | `poison` | R4 among ten thousand keys |
//!
//! `HIGHWATER_FIRE_SECONDS` and `HIGHWATER_FIRE_MINUTES` make them longer; with `HIGHWATER_FIRE_EVENTS` they
//! go on until at least so many events have been written; `HIGHWATER_SEED` repeats a run's choices;
//! `HIGHWATER_FIRE_KEEP` keeps what the workers had to say.
#![cfg(all(feature = "postgres", feature = "sqlite"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the parent of the processes has no runtime to block"
)]

#[cfg(feature = "kafka")]
#[allow(dead_code, reason = "the tests of the feed use another part of it")]
#[path = "../../projections/tests/kafka/broker.rs"]
mod broker;
mod checker;
mod child;
#[allow(dead_code, reason = "the tests of the stores use another part of it")]
#[path = "../../stores/tests/fire/cluster.rs"]
mod cluster;
mod direct;
mod finding;
#[allow(dead_code, reason = "the tests of reads use another part of it")]
mod fleet;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_topic;
#[path = "../projections/ledger.rs"]
mod ledger;
#[cfg(feature = "kafka")]
#[path = "../../projections/tests/kafka/metadata.rs"]
mod metadata;
mod planted;
mod poison;
mod writer;

use std::{env, time::Duration};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

/// How many events are written at least, however long that takes.
fn events() -> u64 {
    number("HIGHWATER_FIRE_EVENTS").unwrap_or(0)
}

/// How long one test goes on.
fn duration() -> Duration {
    let minutes = number("HIGHWATER_FIRE_MINUTES").map(|minutes| minutes * 60);
    Duration::from_secs(minutes.or(number("HIGHWATER_FIRE_SECONDS")).unwrap_or(8))
}

/// What all the choices of a run follow from.
fn seed() -> u64 {
    let seed = number("HIGHWATER_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("HIGHWATER_SEED={seed}");
    seed
}
