//! Reads with a freshness, which wait for a fresher view if asked to (R2, R3).
//!
//! | File | Contents |
//! |---|---|
//! | `ext` | extension methods of an open store |
//! | `reader` | the reader of one view |
//! | `request` | a read before it is awaited: its level, its budget, its fallback |
//! | `row`, `rows` | the answers: one row, several, a page of a range |
//! | `key_range` | ranges of keys, as callers write them |
//! | `plan` | the execution of a read: read a snapshot, check it, wait, fall back |
//! | `scope`, `requirement` | the rows that a read covers, and the progress that it requires |
//! | `source` | snapshots of a view: rows, progress and head |
//! | `batcher`, `batch_task` | reads of one view, answered together |
//! | `definition` | whether the stored rows are those of this program (R5) |
//! | `overlay` | events from the log, folded over rows that lack them |
//! | `token` | the refusal of tokens of another log, or beyond the head |
//! | `shared` | the state that all clones of a handle share |

mod batch_task;
mod batcher;
mod definition;
mod ext;
mod key_range;
mod overlay;
mod plan;
mod reader;
mod request;
mod requirement;
mod row;
mod rows;
mod scope;
mod shared;
mod source;
mod token;

pub use ext::Views;
pub use key_range::IntoKeyRange;
pub use reader::{AppliedRequest, ViewReader};
pub use request::ReadRequest;
pub use rows::{RowPage, RowSet};
pub(crate) use scope::RowScope;
pub(crate) use source::{ViewSnapshot, ViewSource};
