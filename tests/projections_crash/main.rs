//! Crash tests of projections: real processes and servers, killed at random (R1, R4).
//!
//! | File | Content |
//! |---|---|
//! | `checker` | compares views with a fold of the log |
//! | `findings` | judges a journal: events skipped, repeated, out of order in a view or a topic |
//! | `planted_faults` | the checker finds planted faults |
//! | `writer` | tasks that append while faults are injected |
//! | `worker_process` | a worker or a relay in another process |
//! | `kafka_feed`, `kafka_topic` | R1 fed by Kafka, whose servers and relays are also killed; the
//! records of the topic |
//! | `direct_feed` | R1 fed by the log, on PostgreSQL and SQLite, and the faults that it goes through |
//! | `effects` | a projection whose writes a constraint refuses at the commit |
//! | `poison` | R4 among ten thousand keys |
//!
//! `HIGHWATER_FIRE_SECONDS` and `HIGHWATER_FIRE_MINUTES` make them longer. With
//! `HIGHWATER_FIRE_EVENTS` they run until at least this number of events is written.
//! `HIGHWATER_SEED` repeats the random choices of a run. `HIGHWATER_FIRE_KEEP` preserves the logs
//! of the workers.
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
mod effects;
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

/// The duration of one test.
fn duration() -> Duration {
    highwater_test_support::run::duration(8)
}
