//! The answer to the question whether a view has applied a command.

use crate::value::{Freshness, Pending};

/// The answer to the question whether a view has applied the events that a receipt or a token
/// stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum AppliedOutcome {
    /// The view has applied them, and is as fresh as this.
    Applied(Freshness),
    /// The view has not applied them within the budget: *pending reconciliation*.
    Pending(Pending),
}

impl AppliedOutcome {
    /// Returns true if the view has applied them.
    #[must_use]
    pub const fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}
