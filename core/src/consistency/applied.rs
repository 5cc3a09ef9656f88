//! The answer to the question whether a view has applied a command.

use crate::value::{Freshness, Pending};

/// Whether a view has seen what a receipt or a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum AppliedOutcome {
    /// It has, and is as fresh as this.
    Applied(Freshness),
    /// It has not, within the budget: *pending reconciliation*.
    Pending(Pending),
}

impl AppliedOutcome {
    /// Whether it has.
    #[must_use]
    pub const fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}
