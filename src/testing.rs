//! Tests of aggregates and of projections: given/when/then, fixed clocks and ids, fault injection. The conformance suite
//! of the stores is [`stores::testing`](crate::stores::testing).

pub use highwater_core::testing::*;
pub use highwater_projections::testing::{ProjectionTest, WorkerFaults};
