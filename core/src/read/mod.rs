//! Reading what has happened: followers, audits, and the vocabulary of views.

mod audit;
mod follower;
mod view;

pub use audit::Violation;
pub use follower::Follower;
pub use view::{Freshness, Reading, View};

pub(crate) use audit::audit;
