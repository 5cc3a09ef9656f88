//! Workers on every store: the effect of each event exactly once (R1), and poison events (R4).
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod atomic_appends;
mod busy_log;
#[cfg(feature = "sqlite")]
mod clocks;
mod effects;
mod faults;
mod kafka;
mod many_keys;
mod own_writes;
mod panics;
mod parking;
mod reshard;
mod sharding;
mod undecodable_rows;
