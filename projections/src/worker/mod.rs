//! Workers: they run [views, projections, sinks and handlers](crate::projection), each with its progress in
//! the transaction of its effect (R1).
//!
//! | File | What is in it |
//! |---|---|
//! | `builder` | [`Worker`]: what runs together in one process |
//! | `handle` | [`WorkerHandle`]: statuses and shutdown |
//! | `task` | one projection: joins the other workers, and starts and ends the work on shards |
//! | `shard_tasks` | the tokio tasks of the shards |
//! | `shard` | the feed loop of one shard |
//! | `owned_shard` | a claimed shard: apply and commit in one transaction (R1) |
//! | `poison` | an event that can't be applied: bisect, retry, decide (R4) |
//! | `drain_parked` | retries of parked keys (R4) |
//! | `audit` | rows that are compared with the log beside the shards, and repaired by them (R6) |
//! | `definition` | whether the stored rows are those of this program (R5) |
//! | `generation` | the generation of a view that this program works on, and its promotion (R5) |
//! | `reshard` | changes the sharding of a view |
//! | `free_shards` | the stop of a worker that can't be a member, if there is no other worker |
//! | `failure` | classes of errors: transient, fenced, about an event |
//! | `status`, `reporter` | the state of a projection |
//! | `context`, `shutdown` | the environment of projections and shards; the shutdown signal |
//!
//! The life of one shard in a worker:
//!
//! ```text
//!  Assigned            not free, or owned by another worker
//!     |              +-------------------------------------> released, to be assigned again
//!     v              |
//!  claim ------------+
//!     | epoch, progress, parked keys
//!     v
//!  next page <------------------------------------------+
//!     |  meanwhile, every second: retry parked keys;    |
//!     |  repair rows that the auditor found             |
//!     v                                                 |
//!  process page                                         |
//!     |  apply_bisecting -- poison event -> halve the   |
//!     |    batch until one event is left, then          |
//!     |    handle_poison: retry, then Park or Skip the  |
//!     |    key and apply again; Stop: give up           |
//!     v                                                 |
//!  commit: rows, parked keys and progress, if the epoch |
//!     |    is current, in one transaction ----- done ---+
//!     |                                                 |
//!     | transient error: the outcome may be unknown     |
//!     v                                                 |
//!  recover: wait (backoff), claim again, drop caches, --+
//!     |     continue after the committed progress
//!     |
//!     | fenced: another worker owns the shard      -> released
//!     | permanent error: an operator must act      -> the projection is Stopped
//!
//!  Revoked or shutdown, at any point: the task is aborted (a commit is done or not), the shard is released.
//! ```

mod audit;
mod builder;
mod context;
mod definition;
mod drain_parked;
mod failure;
mod free_shards;
mod generation;
mod handle;
mod owned_shard;
mod poison;
mod reporter;
mod reshard;
mod shard;
mod shard_tasks;
mod shutdown;
mod status;
mod task;

pub use audit::AuditStatus;
pub use builder::Worker;
pub use handle::WorkerHandle;
pub use status::{ProjectionState, ProjectionStatus};

pub use crate::options::{Backoff, OnChange, OnDrift, OnFailure, ProjectionOptions};
