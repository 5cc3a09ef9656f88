//! Workers and relays as services (O5): what they are told, what they tell, and how they end.
#![cfg(feature = "service")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "these threads look at other processes")]

#[path = "../bank/mod.rs"]
mod bank;
#[cfg(feature = "kafka")]
#[allow(dead_code, reason = "the tests of the feed use another part of it")]
#[path = "../../projections/tests/kafka/broker.rs"]
mod broker;
#[cfg(all(feature = "kafka", feature = "postgres"))]
mod chain;
mod child;
mod configured;
mod ending;
#[cfg(feature = "kafka")]
mod kafka;
mod logged;
#[cfg(feature = "kafka")]
#[path = "../../projections/tests/kafka/metadata.rs"]
mod metadata;
mod policies;
mod probe;
mod ready;
mod served;
mod stuck;
#[cfg(feature = "kafka")]
#[allow(dead_code, reason = "the tests of reads use another part of it")]
#[path = "../reads_fire/tally.rs"]
mod tally;
mod teller;
