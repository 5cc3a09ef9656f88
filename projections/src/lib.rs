//! The read side of Highwater: it feeds read models from the log, and reads them.
//!
//! | Folder or file | What is in it |
//! |---|---|
//! | [`projection`] | what a worker runs: views, projections, sinks, handlers |
//! | [`worker`] | workers: effect and progress in one transaction (R1), poison events (R4) |
//! | [`admin`] | what operators do with views, by name (R5) |
//! | [`direct`] | the feed from the store itself, and shards shared by leases |
//! | `kafka` | the relay, and the feed from Kafka (feature `kafka`) |
//! | [`read`] | reads that say how fresh they are, and wait if they must be fresher (R2, R3) |
//! | `config` | configuration from a file and the environment (feature `service`) |
//! | [`policy`] | policies of named operations, changed at run time (M6, M14, O4) |
//! | `http` | freshness, tokens and errors in HTTP (feature `axum`) |
//! | `service` | workers and relays as services (feature `service`, O5) |
//! | [`metrics`] | the metrics of the read side (O2) |
//! | `testing` | fault injection for projections (feature `testing`) |
//! | `heartbeat` | the regular renewal of leases and memberships |
//! | `options` | the options of a projection: failure policy, batch, backoff |
//! | `trace` | one trace from command to read model (O1) |
//!
//! `worker` runs what is in `projection`, never the other way; `options`, `heartbeat`, `trace` and `metrics` lie below both.

pub mod admin;
#[cfg(feature = "service")]
mod config;
pub mod direct;
mod heartbeat;
#[cfg(feature = "axum")]
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod metrics;
mod options;
pub mod policy;
pub mod projection;
pub mod read;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
pub mod worker;
