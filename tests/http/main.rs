//! Freshness, tokens and errors in the responses of axum handlers (R2, R3, W1, W4).
#![cfg(feature = "axum")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod caching;
mod commands;
mod errors;
mod malformed_input;
mod reads;
mod server;
mod traces;
