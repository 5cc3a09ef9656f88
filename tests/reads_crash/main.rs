//! Crash tests of reads: real processes and servers, killed at random (R2, R3).
//!
//! | File | Content |
//! |---|---|
//! | `fixture` | a private PostgreSQL and Kafka, and the proxy between a worker and its broker |
//! | `processes` | a relay, a worker or a reader in another process |
//! | `lagging_feed` | a feed whose pages are delayed |
//! | `clients` | a thousand clients that read their writes; tokens over a restart of everything |
//! | `linearizable` | strong reads and commands, while workers and the database are killed |
//! | `marks` | bounded reads, while the relay is stopped or the worker is cut from its broker |
//! | `deposits` | what is written, and what the views must have of it |
//! | `convergence` | the time that views take after each fault |
//! | `outages` | views after the broker was gone, by default, and after their topic was recreated |
//! | `console` | group and topic, as Kafka's own tools see them |
//!
//! `HIGHWATER_FIRE_SECONDS` and `HIGHWATER_FIRE_MINUTES` make them longer; `HIGHWATER_SEED` repeats the random choices of a
//! run; `HIGHWATER_FIRE_KEEP` keeps the logs of the processes.
#![cfg(all(feature = "kafka", feature = "postgres", feature = "sqlite"))]
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

mod clients;
mod console;
mod convergence;
mod deposits;
mod fixture;
mod lagging_feed;
mod linearizable;
mod marks;
mod outages;
mod processes;

use std::time::Duration;

/// The duration of one test.
fn duration() -> Duration {
    highwater_test_support::run::duration(8)
}
