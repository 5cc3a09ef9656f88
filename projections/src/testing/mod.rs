//! Fault injection for projections: runs the views of an application under crashes, repeated events and
//! rebalances, and shows the resulting rows (R1).
//!
//! | File | What is in it |
//! |---|---|
//! | `faults` | the faults, their frequencies and their seed |
//! | `view_store` | commits that fail, and commits whose answer is lost |
//! | `feeds` | repeated events, and revoked shards |
//! | `projection_test` | a view that runs over given events, with faults |

mod faults;
mod feeds;
mod projection_test;
mod view_store;

pub use faults::WorkerFaults;
pub use projection_test::ProjectionTest;
