//! The consistency of reads: levels, budgets, fallbacks, and the policies of named operations (R2, R3, M6).
//!
//! | File | Contents |
//! |---|---|
//! | `policy` | the level, the budget and the fallback of a read |
//! | `tier` | the importance of an operation, which sets its default policy |
//! | `operation` | a named operation and the policy that it was written with |
//! | `rule` | an operator's override of an operation's policy, and its rollout by key |
//! | `reading` | a value together with its freshness |
//! | `applied` | the answer to the question whether a view has applied a command |

mod applied;
mod operation;
mod policy;
mod reading;
mod rule;
mod tier;

pub use applied::AppliedOutcome;
pub use operation::Operation;
pub use policy::{Fallback, Level, ReadPolicy};
pub use reading::{Basis, Reading};
pub use rule::{EffectivePolicy, Override, Rollout, Rule, Variant};
pub use tier::Tier;
