//! Reads that say how fresh they are, and wait if they must be fresher (R2, R3).
//!
//! | File | What is in it |
//! |---|---|
//! | `door` | the way from an open store to its views |
//! | `reader` | one view: what can be asked of it |
//! | `lookup` | a read that has not been made yet: its level, its budget, its fallback |
//! | `one`, `many`, `within` | what is asked for: a row, several, those of a range |
//! | `ask` | from what is asked to an answer: read, judge, wait, fall back |
//! | `desk` | one look at the view: rows, progress and head |
//! | `demand` | how far the view must be, for which keys |
//! | `hub` | all who wait for one view, woken together |
//! | `fold` | events that a row lacks, folded over it from the log |

mod ask;
mod demand;
mod desk;
mod door;
mod fold;
mod hub;
mod lookup;
mod many;
mod one;
mod reader;
mod within;

pub use door::Views;
pub use lookup::{ReadRequest, ReadScope};
pub use many::{ManyRows, RowSet};
pub use one::SingleRow;
pub use reader::{AppliedRequest, ViewReader};
pub use within::{RowPage, RowRange};
