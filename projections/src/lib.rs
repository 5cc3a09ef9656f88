//! The read side of Highwater.
//!
//! | Folder or file | What is in it |
//! |---|---|
//! | `read` | reads that say how fresh they are, and wait if they must be fresher (R2, R3) |
//! | `runtime` | workers: events, their effect and the progress, in one transaction (R1, R4) |
//! | `job` | what a worker runs: views, projections, sinks, handlers |
//! | `direct` | the feed from the store itself, and shards shared by leases |
//! | `http` | freshness, tokens and errors as HTTP says them (feature `axum`) |
//! | `kafka` | the relay, and the feed from Kafka (feature `kafka`) |
//! | [`metrics`] | what is measured of the read side (O2) |
//! | `config` | configuration from a file and the environment (feature `service`) |
//! | [`policy`] | policies of named operations, changed at run time (M6, M14, O4) |
//! | `parked` | parked keys, listed and tried again (R4) |
//! | `service` | workers and relays as services (feature `service`, O5) |
//! | `trace` | one trace from the command to the read model (O1) |
//! | `testing` | failure testing for projections, in public (feature `testing`) |

#[cfg(feature = "service")]
mod config;
mod direct;
#[cfg(feature = "axum")]
pub mod http;
mod job;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod metrics;
mod parked;
pub mod policy;
mod read;
mod runtime;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;

pub use direct::{DirectSource, Leases, LogFeed};
pub use job::{Handler, Projection, ReceivedEvent, Sink};
pub use parked::ParkedKeys;
pub use read::{AppliedRequest, IntoKeyRange, ReadRequest, RowPage, RowSet, ViewReader, Views};
pub use runtime::{
    Backoff, OnFailure, ProjectionOptions, ProjectionState, ProjectionStatus, Worker, WorkerHandle,
};
