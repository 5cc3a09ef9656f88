//! Reads on every store: the freshness that they report (R2), and the levels that require it (R3).
//!
//! | File | What is in it |
//! |---|---|
//! | `applied` | a command waits until a view has applied it, or learns that this is pending |
//! | `clients` | many clients write and read their own writes, while workers lag and are killed |
//! | `clocks` | reads after a clock was ahead for a while |
//! | `counting` | stores that count the calls for their views, and that can be slow or unavailable |
//! | `kafka` | a parked key of a view that is fed by a real Kafka |
//! | `levels` | the result of each level while the view is behind, and after the budget |
//! | `linear` | strong reads are linearizable with acknowledged commands |
//! | `lost_notifications` | a lost notification delays a wait until the next poll, and never hangs it |
//! | `many_rows` | several rows have one freshness, the lowest of those read |
//! | `marks` | marks, which a relay writes to every partition, advance the time of a shard without events |
//! | `optimistic` | events of the caller's own command that the view has not applied yet |
//! | `panics` | a panic in the code of a view is an error of the read that folds, and of no other |
//! | `policies` | named operations, whose policies change at run time for all keys or for some, and are rolled back |
//! | `policy_files` | policies in a file that is edited while the program runs |
//! | `relayed` | a feed that a test drives, shard by shard |
//! | `separate_store` | views in a separate store from the log |
//! | `served` | reads whose budget ends while the view is slow to answer |
//! | `stopped` | reads of a view whose work has stopped at an error |
//! | `tokens` | tokens of another log are refused immediately |
//! | `views` | views of the bank: one by stream, and one by amount, whose events come from many streams |
//! | `waits` | the cost of reads and waits, in calls of the store's port |
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
