//! The auditor in a worker: it compares the rows of the worker's shards with the fold of their events, continuously and in
//! the background (R6).
//!
//! | File | Contents |
//! |---|---|
//! | `auditor` | the task beside the shards: a sample when a shard is taken up, then one page of keys after the other |
//! | `sample` | the rows that are compared when a shard is taken up |
//! | `ring` | all keys of a view and all events of the log in pages, one circle within a window |
//! | `coverage` | the share of the keys that were compared within the last window |
//! | `held` | the shards that are worked on here, as the auditor knows them |
//! | `repair` | drifted rows that are folded again and committed by their own shard |
//! | `record` | the findings, for status and metrics |
//!
//! A row is compared with the fold up to the position that its shard has in the snapshot of the row. So nothing is
//! locked, shards go on meanwhile, and no row that is right is reported, whatever the traffic.

mod auditor;
mod coverage;
mod held;
mod record;
mod repair;
mod ring;
mod sample;

pub(super) use auditor::ShardAuditor;
pub(super) use held::{HeldShards, ShardHold};
pub(super) use record::AuditRecord;
pub use record::AuditStatus;
pub(super) use repair::RepairOrder;
