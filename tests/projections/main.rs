//! Workers: each event's effect exactly once (R1), and what happens when there can be none (R4). On
//! every store.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod anew;
#[path = "../bank/mod.rs"]
mod bank;
mod busy;
mod divided;
mod effects;
mod faults;
mod kafka;
mod ledger;
mod panics;
mod parking;
mod rows;
mod whole;
mod writes;
