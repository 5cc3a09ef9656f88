//! Workers and relays as services (O5): what they are told, what they tell, and how they end.
#![cfg(feature = "service")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "these threads look at other processes")]

#[cfg(all(feature = "kafka", feature = "postgres"))]
mod chain;
mod child;
mod configured;
mod ending;
#[cfg(feature = "kafka")]
mod kafka;
mod logged;
mod policies;
mod probe;
mod ready;
mod served;
mod stuck;
mod teller;
