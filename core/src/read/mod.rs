//! Reading what has happened: followers, audits, and the vocabulary of views.

mod ahead;
mod audit;
mod follower;
mod freshness;
mod operation;
mod pending;
mod policy;
mod rule;
mod tier;
mod view;

pub use ahead::read_ahead;
pub use audit::Violation;
pub use follower::Follower;
pub use freshness::{Basis, Freshness, Reading, Status};
pub use operation::Operation;
pub use pending::{Outcome, Pending, Wanted};
pub use policy::{Fallback, Level, ReadPolicy};
pub use rule::{Arm, Override, Rollout, Rule, Ruled};
pub use tier::Tier;
pub use view::{At, Fold, FoldError, Folding, IntoFolding, IntoKeys, Keyed, Keys, View};

pub(crate) use audit::audit;
