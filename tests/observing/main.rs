//! Metrics and traces (O1, O2), on every store and through Kafka.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod alerts;
mod faults;
mod meter;
mod metrics;
mod names;
mod policy_file;
mod reshard;
mod spans;
mod traces;
