//! The read side of Highwater.
//!
//! | File | What is in it |
//! |---|---|
//! | `door` | `view::<V>()` on [`Highwater`](highwater_core::Highwater) |
//! | `reader` | reads that wait for a token and say how fresh they are (R2, R3) |
//! | `worker` | folds the log into a keyed view, the checkpoint in the same transaction (R1) |
//! | `fold` | one batch, folded in memory by key |

mod door;
mod fold;
mod reader;
mod worker;

pub use door::Views;
pub use reader::{Lookup, ViewReader};
pub use worker::{Options, ViewWorker, run};
