//! Real processes, real kills: what the stores keep when everything around them breaks.
//!
//! | File | What is in it |
//! |---|---|
//! | `child` | a process that writes until it is killed, and says what was acknowledged |
//! | `cluster` | a PostgreSQL of the test's own, to be stopped in the middle |
//! | `crash` | W4 and W7 over `kill -9` and an immediate stop of the server |
//! | `flush` | W7 where the server is told not to flush at a commit |
//! | `follow` | W3 while four processes write, roll back and stall |
//!
//! `HIGHWATER_FIRE_SECONDS` and `HIGHWATER_FIRE_MINUTES` make them longer; `HIGHWATER_SEED` repeats a
//! run's choices.
#![cfg(all(feature = "postgres", feature = "sqlite", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "the parent of the processes has no runtime to block"
)]

mod child;
#[allow(dead_code, reason = "the tests of the doors use another part of it")]
mod cluster;
mod crash;
mod flush;
mod follow;

use std::{env, time::Duration};

use cluster::skip;

/// How long one test goes on.
fn duration() -> Duration {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let minutes = number("HIGHWATER_FIRE_MINUTES").map(|minutes| minutes * 60);
    Duration::from_secs(minutes.or(number("HIGHWATER_FIRE_SECONDS")).unwrap_or(6))
}
