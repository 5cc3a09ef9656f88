//! Named operations: the purposes for which a program reads, and their default policies.

use std::time::Duration;

use super::{Fallback, Level, ReadPolicy, Tier};

/// A named purpose for which a program reads (M6). Its policy is the one that it was defined with;
/// operators change it at run time (O4).
///
/// ```
/// use std::time::Duration;
/// use highwater_core::consistency::{Level, Operation, Tier};
///
/// /// The balance on a page. Users see their own changes in it.
/// const SHOW_BALANCE: Operation = Operation::standard("account.show");
/// /// The balance that is checked before a transfer is offered.
/// const OFFER_TRANSFER: Operation = Operation::critical("transfer.offer");
/// const LIST_ACCOUNTS: Operation = Operation::auxiliary("account.list")
///     .reading(Level::Bounded(Duration::from_secs(5)))
///     .within(Duration::from_millis(50));
///
/// assert_eq!(OFFER_TRANSFER.policy().level, Level::Strong);
/// assert_eq!(LIST_ACCOUNTS.tier(), Tier::Auxiliary);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    name: &'static str,
    tier: Tier,
    policy: ReadPolicy,
}

impl Operation {
    const fn of(name: &'static str, tier: Tier) -> Self {
        Self { name, tier, policy: tier.policy() }
    }

    /// Creates an operation whose answer decides something. Names are lower-case letters, digits,
    /// `_` and `.`.
    #[must_use]
    pub const fn critical(name: &'static str) -> Self {
        Self::of(name, Tier::Critical)
    }

    /// Creates an operation whose answer users look at.
    #[must_use]
    pub const fn standard(name: &'static str) -> Self {
        Self::of(name, Tier::Standard)
    }

    /// Creates an operation whose answer is nice to have.
    #[must_use]
    pub const fn auxiliary(name: &'static str) -> Self {
        Self::of(name, Tier::Auxiliary)
    }

    /// Sets the freshness that the answer must have, instead of the tier's.
    #[must_use]
    pub const fn reading(mut self, level: Level) -> Self {
        self.policy.level = level;
        self
    }

    /// Sets the time that a read may take to reach that freshness, instead of the tier's.
    #[must_use]
    pub const fn within(mut self, budget: Duration) -> Self {
        self.policy.budget = budget;
        self
    }

    /// Sets the fallback when the budget is exhausted, instead of the tier's.
    #[must_use]
    pub const fn or(mut self, fallback: Fallback) -> Self {
        self.policy.fallback = fallback;
        self
    }

    /// The name, by which policies and metrics identify the operation.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The importance of the operation.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// The policy of the operation, unless an operator overrides it.
    #[must_use]
    pub const fn policy(&self) -> ReadPolicy {
        self.policy
    }
}
