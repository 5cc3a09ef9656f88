//! Failure testing for projections, in public: run what you have written under crashes, repeats and
//! rebalances, and look at what comes out (R1).
//!
//! | File | What is in it |
//! |---|---|
//! | `faults` | which faults there are, how often, and from which seed |
//! | `views` | commits that fail, and commits whose answer is lost |
//! | `feeds` | events that come again, and shards that are taken away |
//! | `rehearsal` | given these events, until the view is like that |

mod faults;
mod feeds;
mod rehearsal;
mod views;

pub use faults::Faults;
pub use rehearsal::Rehearsal;
