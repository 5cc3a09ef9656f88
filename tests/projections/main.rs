//! Workers on every store: the effect of each event exactly once (R1), and poison events (R4).
//!
//! | File | What is in it |
//! |---|---|
//! | `atomic_appends` | the visibility of an append over several streams |
//! | `busy_log` | views that must advance while the log is busy with other events |
//! | `clocks` | R1 on a machine whose clock is set back |
//! | `effects` | sinks and handlers: delivery at least once, in order, with an id to recognise a repeat |
//! | `exact_rows` | the row that a worker folds on is the one that is stored (R1, R4) |
//! | `faults` | R1 under injected faults: failed commits, lost responses, repeated events, lost shards |
//! | `kafka` | R1 through a real Kafka, on every store: a relay publishes the log, and workers consume it |
//! | `many_keys` | events that touch many rows |
//! | `own_writes` | R1 for projections that write to tables of the application, in one transaction with the progress |
//! | `panics` | application code that panics is a bug of the program (HW701) |
//! | `parking` | the policy decides about an event that can't be applied |
//! | `reshard` | R1 and R2 for a view that was resharded, renamed, or declared with a wrong key |
//! | `sharding` | R1 with several shards, and with workers that start, stop and are killed |
//! | `undecodable_rows` | a stored row that this program can't decode |
//! | `unstorable_keys` | keys that no store can hold (R4) |
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod atomic_appends;
mod busy_log;
#[cfg(feature = "sqlite")]
mod clocks;
mod effects;
mod exact_rows;
mod faults;
mod kafka;
mod many_keys;
mod own_writes;
mod panics;
mod parking;
mod reshard;
mod sharding;
mod undecodable_rows;
mod unstorable_keys;
