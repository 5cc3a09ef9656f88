//! What is measured and traced (O1, O2): on every store, and through Kafka.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod disturbed;
mod filed;
mod measured;
mod meter;
mod names;
mod shipped;
mod spans;
mod traced;
