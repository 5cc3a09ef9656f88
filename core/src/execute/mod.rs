//! How a command becomes an append: load, decide, check, append, and again if somebody was faster.
//!
//! | File | What is in it |
//! |---|---|
//! | `highwater` | the front door and its builder |
//! | `handle` | one aggregate: execute, and its state now or as of then |
//! | `atomic` | several aggregates in one append |
//! | `over` | decisions over a query |
//! | `engine` | what executing commands needs |
//! | `execution` | the loop from first attempt to receipt |
//! | `attempt` | decide and send, under the locks of the slots |
//! | `member` | one aggregate's part in a command |
//! | `slot` | cached states that optimistic concurrency keeps honest |
//! | `load` | folding a stream, from a snapshot if there is one |
//! | `policy` | what happens after a conflict |
//! | `receipt` | what a caller gets |

mod atomic;
mod attempt;
mod engine;
mod execution;
mod handle;
mod highwater;
mod load;
mod member;
mod over;
mod policy;
mod receipt;
mod slot;

pub use atomic::Atomic;
pub use handle::AggregateHandle;
pub use highwater::{Builder, Highwater};
pub use load::{AsOf, Loaded};
pub use over::BoundaryHandle;
pub use policy::{ConflictPolicy, Resolver, Retry};
pub use receipt::Receipt;
