//! Rules: operators' overrides of an operation's policy, for all of its keys or for some (M14, O4).

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{Fallback, Level, Operation, ReadPolicy, Tier};
use crate::{Result, error::Invalid};

/// The parts of a policy that differ from those of the operation. Parts that are not set stay; if
/// the tier is set, they come from that tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Override {
    /// The importance of the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The freshness that the answer must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The time that the read may take to reach it.
    #[serde(with = "compact::optional", skip_serializing_if = "Option::is_none")]
    pub budget: Option<Duration>,
    /// The fallback when the budget is exhausted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// An override of an operation's policy by an operator (M14, O4). A plain value, which can be read
/// from a file:
///
/// ```
/// use highwater_core::consistency::{Variant, Level, Operation, Rule};
///
/// const SHOW: Operation = Operation::standard("account.show");
/// let text = r#"{ "policy": { "budget": "50ms" }, "rollout": { "percent": 20, "policy": { "level": "strong" } } }"#;
/// let rule: Rule = serde_json::from_str(text).unwrap();
/// let strong = (0..1_000).filter(|key| rule.of(&SHOW, &key.to_string()).variant == Variant::Rollout).count();
/// assert!((150..250).contains(&strong), "about a fifth of the keys, always the same");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The override for all keys.
    pub policy: Override,
    /// The override for some of the keys, on top of the one for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// An override for a share of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The share of the keys, from 0 to 100. The selection depends only on the key and the
    /// operation: with a higher share, the keys of a lower one stay selected.
    pub percent: f64,
    /// The override for these keys.
    pub policy: Override,
}

/// The policy that applies to one key of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectivePolicy {
    /// The level, the budget and the fallback.
    pub policy: ReadPolicy,
    /// The importance of the operation, as overridden.
    pub tier: Tier,
    /// The part of the rule that the policy comes from.
    pub variant: Variant,
}

/// The part of a rule that applies to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// The override for all keys.
    Base,
    /// The override for a share of the keys.
    Rollout,
}

impl Variant {
    /// The name, as it is used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Rollout => "rollout",
        }
    }
}

impl Rule {
    /// Creates a rule that overrides the policy for all keys.
    #[must_use]
    pub const fn of_all(policy: Override) -> Self {
        Self { policy, rollout: None }
    }

    /// Adds an override for so many percent of the keys, on top of the one for all.
    #[must_use]
    pub const fn rolled_out(mut self, percent: f64, policy: Override) -> Self {
        self.rollout = Some(Rollout { percent, policy });
        self
    }

    /// Returns the policy that applies to this key of the operation.
    #[must_use]
    pub fn of(&self, operation: &Operation, key: &str) -> EffectivePolicy {
        let base = self.base(operation);
        match &self.rollout {
            Some(rollout) if rollout.has(operation, key) => {
                rollout.policy.over(base, Variant::Rollout)
            }
            _ => base,
        }
    }

    fn base(&self, operation: &Operation) -> EffectivePolicy {
        let policy = operation.policy();
        let tier = operation.tier();
        self.policy.over(EffectivePolicy { policy, tier, variant: Variant::Base }, Variant::Base)
    }

    /// Checks that the operation may be read by this rule.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the share of a rollout is not from 0 to 100, or the
    /// rule would lower the answers of a critical operation below what was asked for. A rule that
    /// intends this must set a lower tier, too.
    pub fn check(&self, operation: &Operation) -> Result<()> {
        let base = self.base(operation);
        base.check(operation)?;
        let Some(rollout) = &self.rollout else { return Ok(()) };
        if !(0.0..=100.0).contains(&rollout.percent) {
            let name = operation.name();
            let percent = rollout.percent;
            let message = format!("the rollout of {name} has {percent} percent: use 0 to 100");
            return Err(Invalid::configuration(message).into());
        }
        rollout.policy.over(base, Variant::Rollout).check(operation)
    }
}

impl Override {
    /// Sets the freshness that the answer must have.
    #[must_use]
    pub const fn reading(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets the time that the read may take to reach it.
    #[must_use]
    pub const fn within(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Sets the fallback when the budget is exhausted.
    #[must_use]
    pub const fn or(mut self, fallback: Fallback) -> Self {
        self.fallback = Some(fallback);
        self
    }

    /// Sets the importance of the operation.
    #[must_use]
    pub const fn as_of_tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }

    fn over(&self, base: EffectivePolicy, variant: Variant) -> EffectivePolicy {
        let tier = self.tier.unwrap_or(base.tier);
        let rest = self.tier.map_or(base.policy, Tier::policy);
        let policy = ReadPolicy {
            level: self.level.unwrap_or(rest.level),
            budget: self.budget.unwrap_or(rest.budget),
            fallback: self.fallback.unwrap_or(rest.fallback),
        };
        EffectivePolicy { policy, tier, variant }
    }
}

impl Rollout {
    /// Selects keys by a hash of the key and the operation, so that operations don't all start with
    /// the same keys.
    fn has(&self, operation: &Operation, key: &str) -> bool {
        let mut hash = Xxh3::new();
        hash.update(operation.name().as_bytes());
        hash.update(&[0]);
        hash.update(key.as_bytes());
        let share = hash.digest() as f64 / u64::MAX as f64;
        self.percent >= 100.0 || share * 100.0 < self.percent
    }
}

impl EffectivePolicy {
    fn check(self, operation: &Operation) -> Result<()> {
        if self.tier.allows(self.policy) {
            return Ok(());
        }
        let name = operation.name();
        let message = format!(
            "operation {name} is critical, and this policy gives answers that are less than was asked for: \
             use another level than eventual and another fallback than serve_stale, or say tier = \"standard\""
        );
        Err(Invalid::configuration(message).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOW: Operation = Operation::standard("account.show");
    const OFFER: Operation = Operation::critical("transfer.offer");

    fn rule(text: &str) -> Rule {
        serde_json::from_str(text).unwrap()
    }

    fn share(rule: &Rule) -> Vec<String> {
        let keys = (0..10_000).map(|key| format!("key-{key}"));
        keys.filter(|key| rule.of(&SHOW, key).variant == Variant::Rollout).collect()
    }

    fn rolled_out(percent: f64) -> Rule {
        Rule::default().rolled_out(percent, Override::default().reading(Level::Strong))
    }

    #[test]
    fn m14_what_is_not_overridden_stays_as_the_operation_has_it() {
        let ruled = rule(r#"{ "policy": { "level": "eventual" } }"#).of(&SHOW, "alice");
        let expected = ReadPolicy { level: Level::Eventual, ..SHOW.policy() };
        assert_eq!(
            (ruled.policy, ruled.tier, ruled.variant),
            (expected, Tier::Standard, Variant::Base)
        );
        assert_eq!(Rule::default().of(&SHOW, "alice").policy, SHOW.policy());
    }

    #[test]
    fn m14_another_tier_brings_its_own_policy() {
        let ruled = rule(r#"{ "policy": { "tier": "auxiliary" } }"#).of(&OFFER, "alice");
        assert_eq!((ruled.policy, ruled.tier), (Tier::Auxiliary.policy(), Tier::Auxiliary));
    }

    #[test]
    fn m14_a_higher_share_keeps_the_keys_that_a_lower_one_had() {
        assert!(share(&rolled_out(0.0)).is_empty());
        assert_eq!(share(&rolled_out(100.0)).len(), 10_000);
        let (some, more) = (share(&rolled_out(5.0)), share(&rolled_out(25.0)));
        assert!((400..600).contains(&some.len()), "{}", some.len());
        assert!((2_300..2_700).contains(&more.len()), "{}", more.len());
        assert!(some.iter().all(|key| more.contains(key)));
    }

    #[test]
    fn m14_the_rollout_is_over_what_holds_for_all() {
        let text = r#"{ "policy": { "budget": "50ms" },
                        "rollout": { "percent": 100, "policy": { "level": "strong" } } }"#;
        let ruled = rule(text).of(&SHOW, "alice");
        assert_eq!(ruled.policy.budget, Duration::from_millis(50));
        assert_eq!((ruled.policy.level, ruled.variant), (Level::Strong, Variant::Rollout));
    }

    #[test]
    fn m6_a_critical_operation_is_not_lowered_unless_it_is_said_to_be_critical_no_more() {
        for text in [
            r#"{ "policy": { "level": "eventual" } }"#,
            r#"{ "policy": { "fallback": "serve_stale" } }"#,
            r#"{ "rollout": { "percent": 1, "policy": { "level": "eventual" } } }"#,
        ] {
            let error = rule(text).check(&OFFER).unwrap_err().to_string();
            assert!(error.contains("transfer.offer") && error.contains("critical"), "{error}");
            rule(text).check(&SHOW).unwrap();
        }
        let said = r#"{ "policy": { "tier": "standard", "level": "eventual" } }"#;
        rule(said).check(&OFFER).unwrap();
    }

    #[test]
    fn m14_a_share_that_is_none_and_a_key_that_is_not_known_are_refused() {
        for percent in [-1.0, 100.5, f64::NAN] {
            assert!(rolled_out(percent).check(&SHOW).is_err(), "{percent}");
        }
        for text in [r#"{ "policy": { "levl": "strong" } }"#, r#"{ "rollout": { "percent": 3 } }"#]
        {
            assert!(serde_json::from_str::<Rule>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn m14_a_rule_survives_being_stored() {
        let text = r#"{"policy":{"tier":"standard","level":{"bounded":"2s"},"budget":"50ms"},"rollout":{"percent":12.5,"policy":{"fallback":"fold"}}}"#;
        assert_eq!(serde_json::to_string(&rule(text)).unwrap(), text);
    }
}
