//! The harness of `versus`: a work, measured by criterion on both sides, as a line of one table.
//!
//! | File | What is in it |
//! |---|---|
//! | `work` | a work in words |
//! | `routine` | what is measured: work that is done so many times |
//! | `delivery` | deliveries to a follower that waits for one event at a time |
//! | `pace` | commands at a fixed rate, and when a reader sees them |
//! | `measure`, `report` | by criterion, and as a table |
#![allow(missing_docs, reason = "a program's own")]
#![allow(clippy::missing_panics_doc, reason = "a failure ends the run")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the run"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep the library repeatable; here times are what is measured"
)]

mod delivery;
mod measure;
mod pace;
mod report;
mod routine;
mod work;

pub use delivery::{Delivery, Seen, Timed, Timing, Writer};
pub use measure::Bench;
pub use pace::{Asked, Asking, Board, Pace, Paced, Spot};
pub use routine::{Budget, Routine, in_a_task, wait};
pub use work::{Place, Work};
