//! Reading what has happened: followers, audits, and the vocabulary of views.

mod ahead;
mod audit;
mod follower;
mod freshness;
mod pending;
mod policy;
mod view;

pub use ahead::read_ahead;
pub use audit::Violation;
pub use follower::Follower;
pub use freshness::{Basis, Freshness, Reading, Status};
pub use pending::{Outcome, Pending, Wanted};
pub use policy::{Fallback, Level, ReadPolicy};
pub use view::{At, Fold, FoldError, Folding, IntoFolding, IntoKeys, Keyed, Keys, View};

pub(crate) use audit::audit;
