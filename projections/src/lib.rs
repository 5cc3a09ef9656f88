//! The read side of Highwater.
//!
//! | Folder or file | What is in it |
//! |---|---|
//! | `door`, `reader` | reads that wait for a token and say how fresh they are (R2, R3) |
//! | `runtime` | workers: events, their effect and the progress, in one transaction (R1, R4) |
//! | `job` | what a worker runs: views, projections, sinks, handlers |
//! | `direct` | the feed from the store itself, and shards shared by leases |
//! | `kafka` | the relay, and the feed from Kafka (feature `kafka`) |
//! | `parked` | parked keys, listed and tried again (R4) |
//! | `testing` | failure testing for projections, in public (feature `testing`) |

mod direct;
mod door;
mod job;
#[cfg(feature = "kafka")]
pub mod kafka;
mod parked;
mod reader;
mod runtime;
#[cfg(feature = "testing")]
pub mod testing;

pub use direct::{DirectSource, Leases, LogFeed};
pub use door::Views;
pub use job::{Handler, Projection, Received, Sink};
pub use parked::Parked;
pub use reader::{Lookup, ViewReader};
pub use runtime::{Backoff, OnFailure, Options, Running, State, Status, Worker};
