//! Real processes, real kills: what views keep when everything around them breaks (R1, R4).
//!
//! | File | What is in it |
//! |---|---|
//! | `checker`, `findings` | tells what a view or a topic has skipped, repeated or disordered |
//! | `planted_faults` | that the checker finds what is planted |
//! | `writer` | tasks that append while the fire burns |
//! | `worker_process` | a worker in a process of its own: this test binary again |
//! | `fleet` | several of them, killed, frozen and stopped at random |
//! | `kafka_feed`, `kafka_topic` | R1 fed by Kafka, its servers and relays killed too; what is in the topic |
//! | `direct_feed` | R1 fed by the log, on PostgreSQL and SQLite |
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

mod checker;
mod direct_feed;
mod findings;
#[cfg(feature = "kafka")]
mod kafka_feed;
#[cfg(feature = "kafka")]
mod kafka_topic;
mod planted_faults;
mod poison;
mod worker_process;
mod writer;

use std::time::Duration;

/// How long one test runs.
fn duration() -> Duration {
    highwater_test_support::run::duration(8)
}
