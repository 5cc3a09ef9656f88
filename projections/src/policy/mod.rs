//! Policies of named operations, changed at run time (M6, M14, O4).
//!
//! The policy of a read is, from the weakest layer to the strongest: the one that the program was written with
//! ([`Operation`]), the one in a file, the change that is recorded in the log.
//!
//! | File | Contents |
//! |---|---|
//! | `policies` | the handle: changes, their history, and the policies that apply |
//! | `cache` | the policies that apply in this process |
//! | `record` | changes as events: who, when, what, why |
//! | `history` | recorded changes, read from the log |
//! | `follow` | a task that picks up changes of other processes, and edits of the file |
//! | `file` | a file of policies (feature `service`) |

mod cache;
#[cfg(feature = "service")]
mod file;
mod follow;
mod history;
mod policies;
mod record;

pub use highwater_core::consistency::{
    EffectivePolicy, Operation, Override, Rollout, Rule, Tier, Variant,
};

pub(crate) use cache::PolicyCache;
pub use follow::PolicyFollower;
pub use policies::Policies;
pub use record::{PolicyChange, PolicyRollback, RecordedChange};
