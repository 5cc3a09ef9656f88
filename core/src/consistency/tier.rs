//! The importance of an operation (M6).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Fallback, Level, ReadPolicy};

/// The importance of an operation (M6). It sets the policy of an operation that states none, and
/// the limit below which no policy may lower it.
///
/// | Tier | Level | Budget | Fallback | May be lowered |
/// |---|---|---|---|---|
/// | critical | strong | 2 s | fail | never to an answer that is less than was asked for |
/// | standard | read your writes | 500 ms | serve stale | without limit |
/// | auxiliary | eventual | 100 ms | serve stale | without limit |
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tier {
    /// Something is decided by the answer: it must be right, or not be given.
    Critical,
    /// Users look at the answer and expect their own changes in it.
    #[default]
    Standard,
    /// The answer is nice to have.
    Auxiliary,
}

impl Tier {
    /// The name, as it is used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Standard => "standard",
            Self::Auxiliary => "auxiliary",
        }
    }

    /// The policy of operations of this tier that state no other.
    #[must_use]
    pub const fn policy(self) -> ReadPolicy {
        let (level, budget, fallback) = match self {
            Self::Critical => (Level::Strong, 2_000, Fallback::Fail),
            Self::Standard => (Level::ReadYourWrites, 500, Fallback::ServeStale),
            Self::Auxiliary => (Level::Eventual, 100, Fallback::ServeStale),
        };
        ReadPolicy { level, budget: Duration::from_millis(budget), fallback }
    }

    /// Returns true if operations of this tier may be read by this policy.
    #[must_use]
    pub const fn allows(self, policy: ReadPolicy) -> bool {
        let may_be_less = matches!(policy.level, Level::Eventual)
            || matches!(policy.fallback, Fallback::ServeStale);
        !(matches!(self, Self::Critical) && may_be_less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m6_every_tier_allows_its_own_policy_and_a_critical_one_never_less_than_was_asked_for() {
        for tier in [Tier::Critical, Tier::Standard, Tier::Auxiliary] {
            assert!(tier.allows(tier.policy()), "{tier:?}");
        }
        let strong = Tier::Critical.policy();
        let stale = ReadPolicy { fallback: Fallback::ServeStale, ..strong };
        let eventual = ReadPolicy { level: Level::Eventual, ..strong };
        assert!(!Tier::Critical.allows(stale) && Tier::Standard.allows(stale));
        assert!(!Tier::Critical.allows(eventual) && Tier::Standard.allows(eventual));
        assert!(Tier::Critical.allows(ReadPolicy { fallback: Fallback::Fold, ..strong }));
    }
}
