//! Reading what has happened: followers, audits, and the vocabulary of views.

mod ahead;
mod audit;
mod follower;
mod freshness;
mod view;

pub use ahead::read_ahead;
pub use audit::Violation;
pub use follower::Follower;
pub use freshness::{Freshness, Reading, Status};
pub use view::{At, Fold, FoldError, Folding, IntoFolding, IntoKeys, Keyed, Keys, View};

pub(crate) use audit::audit;
