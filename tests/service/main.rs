//! Workers and relays as services (O5): what they are told, what they tell, and how they end.
#![cfg(feature = "service")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "these threads look at other processes")]

#[path = "../bank/mod.rs"]
mod bank;
mod child;
mod configured;
mod ending;
mod probe;
mod ready;
mod stuck;
