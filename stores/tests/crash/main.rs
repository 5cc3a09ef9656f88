//! Crash tests of the stores: real processes and servers, killed at random.
//!
//! | File | Content |
//! |---|---|
//! | `writer_process` | a process that writes until it is killed, and reports acknowledged appends
//! |
//! | `kills` | W4 and W7 over `kill -9` and an immediate stop of the server |
//! | `flush` | W7 where the server is configured not to flush at a commit |
//! | `follow` | W3 while four processes write, roll back and stall |
//!
//! `HIGHWATER_FIRE_SECONDS` and `HIGHWATER_FIRE_MINUTES` make them longer. `HIGHWATER_SEED` repeats
//! the random choices of a run.
#![cfg(all(feature = "postgres", feature = "sqlite", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "the parent of the processes has no runtime to block"
)]

mod flush;
mod follow;
mod kills;
mod writer_process;

use std::time::Duration;

/// The duration of one test.
fn duration() -> Duration {
    highwater_test_support::run::duration(6)
}
