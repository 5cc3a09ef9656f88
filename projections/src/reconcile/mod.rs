//! Drift between a keyed view and the log: found, explained and repaired (R6).
//!
//! A row is right if it is the fold of its events in the log, up to the progress of its shard. What worked on the view
//! doesn't take part in the comparison: rows are folded again event by event, without a worker's batches and cache. The
//! verdicts on rows are those of `projection::compare`, which the auditor of a worker shares.
//!
//! | File | Contents |
//! |---|---|
//! | `requests` | the methods of [`ViewReader`](crate::read::ViewReader): verify, repair, why, audit |
//! | `verify` | the comparison of a view with the log, while traffic goes on |
//! | `range_pass` | all rows in the order of their keys, with a bounded number of folded rows in memory |
//! | `snapshot` | snapshots of a view that can be compared with the log |
//! | `report` | the findings: drift, parked keys, keys that can't be verified |
//! | `repair` | rows that are folded again and committed to their shard |
//! | `auditor` | the continuous comparison, beside workers |
//! | `history` | the events that made a row, step by step |

mod auditor;
mod history;
mod range_pass;
mod repair;
mod report;
mod requests;
mod snapshot;
mod verify;

pub use auditor::Auditor;
pub use history::{HistoryRequest, RowHistory, RowStep};
pub use repair::{RepairReport, RepairRequest};
pub use report::{UnverifiedKey, VerifyReport};
pub use verify::VerifyRequest;

pub use crate::projection::compare::{Drift, DriftKind, FieldChange};
