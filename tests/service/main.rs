//! Workers and relays as services (O5): configuration, readiness, logs, metrics, shutdown.
#![cfg(feature = "service")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "these threads look at other processes")]

mod api;
mod configuration;
#[cfg(feature = "kafka")]
mod kafka;
mod log_format;
mod policies;
mod probe;
mod readiness;
#[cfg(all(feature = "kafka", feature = "postgres"))]
mod relay_and_worker;
mod served;
mod service_process;
mod shutdown;
mod stuck;
