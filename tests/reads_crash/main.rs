//! Real processes, real kills: what reads promise when everything around them breaks (R2, R3).
//!
//! | File | What is in it |
//! |---|---|
//! | `fixture` | a PostgreSQL and a Kafka of the test's own, and the way between a worker and its broker |
//! | `processes` | a relay, a worker or a reader in a process of its own: this test binary again |
//! | `lagging_feed` | a feed whose pages come late |
//! | `proxy` | a way to a server that can be held up |
//! | `clients` | a thousand who read what they have written; tokens over a restart of everything |
//! | `linearizable` | strong reads and commands, while workers and the database are killed |
//! | `marks` | bounded reads, while the relay is stopped or the worker is cut from its broker |
//! | `convergence` | how long it takes after each fault |
//!
//! `HIGHWATER_FIRE_SECONDS` and `HIGHWATER_FIRE_MINUTES` make them longer; `HIGHWATER_SEED` repeats a
//! run's choices; `HIGHWATER_FIRE_KEEP` keeps what the processes had to say.
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
mod convergence;
mod fixture;
mod lagging_feed;
mod linearizable;
mod marks;
mod processes;
mod proxy;

use std::time::Duration;

/// How long one test runs.
fn duration() -> Duration {
    highwater_test_support::run::duration(8)
}
