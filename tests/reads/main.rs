//! Reads on every store: the freshness that they report (R2), and the levels that require it (R3).
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod applied;
mod clients;
#[cfg(feature = "sqlite")]
mod clocks;
mod counting;
mod kafka;
mod levels;
mod linear;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod lost_notifications;
mod many_rows;
mod marks;
mod optimistic;
mod panics;
mod policies;
mod policy_files;
mod relayed;
mod separate_store;
mod served;
mod stopped;
mod tokens;
mod views;
mod waits;
