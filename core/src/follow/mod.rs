//! Reading the log: followers, audits, and folding stored events into states.
//!
//! | File | Contents |
//! |---|---|
//! | `follower` | reads the log page by page from a position |
//! | `audit` | finds the streams whose history breaks an invariant |
//! | `apply` | decodes a stored event and applies it to a state |
//! | `ahead` | reads the next page while the current one is processed |

mod ahead;
mod apply;
mod audit;
mod follower;

pub use ahead::read_ahead;
pub use apply::UnknownEvents;
pub use audit::Violation;
pub use follower::Follower;

pub(crate) use apply::{apply, fold_events};
pub(crate) use audit::audit;
