//! Workers: each event's effect exactly once (R1), and what happens when there can be none (R4). On
//! every store.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod atomic_appends;
mod busy_log;
mod effects;
mod faults;
mod kafka;
mod own_writes;
mod panics;
mod parking;
mod reshard;
mod sharding;
mod undecodable_rows;
