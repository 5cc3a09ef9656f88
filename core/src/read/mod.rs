//! Reading what has happened: followers, audits, and the vocabulary of views.

mod ahead;
mod audit;
mod follower;
mod view;

pub use ahead::read_ahead;
pub use audit::Violation;
pub use follower::Follower;
pub use view::{Freshness, Reading, View};

pub(crate) use audit::audit;
