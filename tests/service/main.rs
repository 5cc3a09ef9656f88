//! Workers and relays as services (O5): configuration, readiness, logs, metrics, shutdown.
//!
//! | File | What is in it |
//! |---|---|
//! | `api` | a service that executes commands and reads, as an API does, so that their metrics have values |
//! | `configuration` | the configuration of a service: the error for a wrong key names the key and its place |
//! | `kafka` | readiness in the failure states of Kafka: not ready with the reason, and ready again (O5) |
//! | `log_format` | the logs of a service, as JSON or as text |
//! | `policies` | a policy that is changed and rolled back under load, without a restart (O4) |
//! | `probe` | probes a service like an orchestrator |
//! | `readiness` | readiness in each state, and the other reports of a service (O2, O5) |
//! | `relay_and_worker` | a relay and two workers as services, in separate processes, on real servers under load (O2, O5) |
//! | `served` | a service in this process |
//! | `service_process` | a service in another process, which the tests shut down |
//! | `shutdown` | service processes that receive real signals (O5) |
//! | `stuck` | sources of workers that can't stop, can't start, or fail once |
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
