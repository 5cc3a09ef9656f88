//! The execution of commands: load, decide, check, append, and again after a conflict.
//!
//! | File | Contents |
//! |---|---|
//! | `highwater` | the entry point |
//! | `builder` | its ports and defaults |
//! | `handle` | one aggregate: executes commands, loads its state as of now or an earlier time |
//! | `atomic` | several aggregates in one append |
//! | `boundary_handle` | decisions over a query |
//! | `run` | the loop of every command: load, decide, check, append, receipt |
//! | `participant` | the interface between that loop and a command |
//! | `aggregate_command` | a command on one aggregate |
//! | `boundary_command` | a decision over a query |
//! | `boundary_query` | its query, and the check that no event is missed for want of a tag |
//! | `tag_coverage` | the positions up to which that is known |
//! | `retag` | adds tags to stored events |
//! | `decision` | runs application code and encodes the events |
//! | `decided_on` | the proof that a decision which appends nothing was current |
//! | `moment` | the order of commands, reads and appends of a process |
//! | `unknown_outcome` | the error after an append whose outcome is not known |
//! | `state_cache` | cached states, with events that are still being appended |
//! | `loaded` | a state and its place in its stream |
//! | `load` | folds a stream, from a snapshot if there is one |
//! | `snapshot` | encodes snapshots that are due, loads usable ones |
//! | `engine` | the ports, caches and defaults of all of these |
//! | `policy` | the reaction to a conflict |
//! | `receipt` | the result of a command |

mod aggregate_command;
mod atomic;
mod boundary_command;
mod boundary_handle;
mod boundary_query;
mod builder;
mod decided_on;
mod decision;
mod engine;
mod handle;
mod highwater;
mod load;
mod loaded;
mod moment;
mod participant;
mod policy;
mod receipt;
mod retag;
mod run;
mod snapshot;
mod state_cache;
mod tag_coverage;
mod unknown_outcome;

pub use atomic::Atomic;
pub use boundary_handle::BoundaryHandle;
pub use builder::Builder;
pub use handle::AggregateHandle;
pub use highwater::Highwater;
pub use loaded::{AsOf, Loaded};
pub use policy::{ConflictPolicy, Resolver, Retry};
pub use receipt::Receipt;
pub use retag::{Retag, Retagged};
