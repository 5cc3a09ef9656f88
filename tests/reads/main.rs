//! Reads: how fresh they say they are (R2), and how fresh they can be made (R3). On every store.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod applied;
#[path = "../bank/mod.rs"]
mod bank;
mod clients;
mod counting;
mod elsewhere;
mod history;
mod kafka;
mod levels;
mod linear;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod lost;
mod many;
mod marks;
mod own;
mod panics;
mod policies;
mod policy_files;
mod relayed;
mod served;
mod tokens;
mod views;
mod waits;
