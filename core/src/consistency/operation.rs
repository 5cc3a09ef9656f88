//! Named operations: what a program reads for, and how fresh that must be unless somebody says otherwise.

use std::time::Duration;

use super::{Fallback, Level, ReadPolicy, Tier};

/// What a program reads for, by name (M6). Its policy is the one that the program was written with; operators
/// change it at run time (O4).
///
/// ```
/// use std::time::Duration;
/// use highwater_core::consistency::{Level, Operation, Tier};
///
/// /// What a page shows. Users see their own changes in it.
/// const SHOW_BALANCE: Operation = Operation::standard("account.show");
/// /// What a transfer looks at before it is offered.
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

    /// Something is decided by the answer. Names are lower-case letters, digits, `_` and `.`.
    #[must_use]
    pub const fn critical(name: &'static str) -> Self {
        Self::of(name, Tier::Critical)
    }

    /// Users look at it.
    #[must_use]
    pub const fn standard(name: &'static str) -> Self {
        Self::of(name, Tier::Standard)
    }

    /// It is good to have.
    #[must_use]
    pub const fn auxiliary(name: &'static str) -> Self {
        Self::of(name, Tier::Auxiliary)
    }

    /// How fresh the answer must be, if not as the tier has it.
    #[must_use]
    pub const fn reading(mut self, level: Level) -> Self {
        self.policy.level = level;
        self
    }

    /// How long a read may take to get there, if not as the tier has it.
    #[must_use]
    pub const fn within(mut self, budget: Duration) -> Self {
        self.policy.budget = budget;
        self
    }

    /// What is done when that is over, if not as the tier has it.
    #[must_use]
    pub const fn or(mut self, fallback: Fallback) -> Self {
        self.policy.fallback = fallback;
        self
    }

    /// Its name, which policies and metrics know it by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How much it matters.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// How it is read unless somebody says otherwise.
    #[must_use]
    pub const fn policy(&self) -> ReadPolicy {
        self.policy
    }
}
