//! Policies of named operations, changed at run time (M6, M14, O4).
//!
//! What holds for a read of an operation is, from the weakest to the strongest: what the program was
//! written with ([`Operation`]), what a file says, what has been changed since and is recorded in the log.
//!
//! | File | What is in it |
//! |---|---|
//! | `policies` | the handle: who changes what, and what holds |
//! | `shelf` | what holds in this process |
//! | `record` | changes as events: who, when, what, why |
//! | `follow` | changes that others make, and edits of the file, taken up |
//! | `file` | a file of policies (feature `service`) |

#[cfg(feature = "service")]
mod file;
mod follow;
mod policies;
mod record;
mod shelf;

pub use highwater_core::consistency::{
    EffectivePolicy, Operation, Override, Rollout, Rule, Tier, Variant,
};

pub use follow::PolicyFollower;
pub use policies::Policies;
pub use record::{PolicyChange, PolicyRollback, RecordedChange};

pub(crate) use shelf::Shelf;
