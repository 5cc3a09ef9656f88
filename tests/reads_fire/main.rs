//! Real processes, real kills: what reads promise when everything around them breaks (R2, R3).
//!
//! | File | What is in it |
//! |---|---|
//! | `world` | a PostgreSQL and a Kafka of the test's own, and the way between a worker and its broker |
//! | `child` | a relay, a worker or a reader in a process of its own: this test binary again |
//! | `lagging` | a feed whose pages come late |
//! | `proxy` | a way to a server that can be held up |
//! | `tally` | a view that counts, divided by key |
//! | `clients` | a thousand who read what they have written; tokens over a restart of everything |
//! | `linear` | strong reads and commands, while workers and the database are killed |
//! | `marks` | bounded reads, while the relay is stopped or the worker is cut from its broker |
//! | `converging` | how long it takes after each fault |
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

#[path = "../bank/mod.rs"]
mod bank;
#[allow(dead_code, reason = "the tests of the feed use another part of it")]
#[path = "../../projections/tests/kafka/broker.rs"]
mod broker;
mod child;
mod clients;
#[allow(dead_code, reason = "the tests of the stores use another part of it")]
#[path = "../../stores/tests/fire/cluster.rs"]
mod cluster;
mod converging;
#[allow(dead_code, reason = "the tests of projections use another part of it")]
#[path = "../projections_fire/fleet.rs"]
mod fleet;
#[allow(dead_code, reason = "the tests without faults use another part of it")]
#[path = "../reads/history.rs"]
mod history;
mod lagging;
mod linear;
mod marks;
#[path = "../../projections/tests/kafka/metadata.rs"]
mod metadata;
mod proxy;
mod tally;
mod world;

use std::{env, time::Duration};

/// How long one test goes on.
fn duration() -> Duration {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let minutes = number("HIGHWATER_FIRE_MINUTES").map(|minutes| minutes * 60);
    Duration::from_secs(minutes.or(number("HIGHWATER_FIRE_SECONDS")).unwrap_or(8))
}

/// What all the choices of a run follow from.
fn seed() -> u64 {
    let seed = env::var("HIGHWATER_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("HIGHWATER_SEED={seed}");
    seed
}
