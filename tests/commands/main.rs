//! Answers to commands when something goes wrong or comes late, on every store (W4 to W6).
//!
//! | File | Content |
//! |---|---|
//! | `intercept` | a store whose appends and reads a test intercepts |
//! | `late` | a store that holds answers back, as a test plans it |
//! | `stale` | answers that append nothing, while another process is faster: by plan |
//! | `random` | the same thousands of times at random, each answer checked |
//! | `failover` | a store that has lost its last events |
//! | `unknown` | errors after an append whose outcome is not known |
//! | `panics` | panics of code that no other test lets panic |
//! | `crash` | answers of several processes under fire |
//! | `fire` | the faults, and the processes and clients that go through them |
//! | `notes` | a table of the application's, whose constraint refuses commits |
//! | `place` | the log under fire, which a copy can replace |
//! | `api_process` | one of those processes, and its client |
//!
//! `HIGHWATER_FIRE_SECONDS` and `HIGHWATER_FIRE_MINUTES` make `crash` longer; `HIGHWATER_SEED` repeats the random choices of
//! a run.
#![cfg(all(feature = "postgres", feature = "sqlite", feature = "testing"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod api_process;
mod crash;
mod failover;
mod fire;
mod intercept;
mod late;
mod notes;
mod panics;
mod place;
mod random;
mod stale;
mod unknown;
