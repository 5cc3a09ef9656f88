//! The harness of `versus`: criterion measures both sides of a work, and each work is a line of one table.
//!
//! | File | What is in it |
//! |---|---|
//! | `work` | the description of a work |
//! | `routine` | the measured routines |
//! | `delivery` | deliveries to a follower that waits for one event at a time |
//! | `pace` | commands at a fixed rate, and the time until a reader sees them |
//! | `measure`, `report` | the measurement by criterion, and the table |
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
