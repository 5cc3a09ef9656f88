//! The policy of a read: the freshness of its answer, and the fallback if that can't be reached in
//! time (R3).

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};

/// The freshness that an answer must have (R3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// The answer is the state that the view has. The read never waits.
    #[default]
    Eventual,
    /// The answer lacks nothing that was recorded longer ago than this.
    #[serde(with = "compact::required")]
    Bounded(Duration),
    /// The answer includes the events that the token of the read stands for.
    ReadYourWrites,
    /// The answer includes every event that was acknowledged before the read began. Events that the
    /// view lacks are folded over it from the log.
    Strong,
}

impl Level {
    /// The name, as it is used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eventual => "eventual",
            Self::Bounded(_) => "bounded",
            Self::ReadYourWrites => "read_your_writes",
            Self::Strong => "strong",
        }
    }
}

/// The fallback when the level can't be met within the budget (R3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// An error that says where the view is: *pending reconciliation*.
    #[default]
    Fail,
    /// The state that the view has, marked as [`Stale`](super::Basis::Stale).
    ServeStale,
    /// The state that the view has, with the events that it lacks folded over it from the log, as
    /// for a strong read.
    Fold,
}

/// The freshness that a read asks for, and the fallback if that can't be reached in time (R3). A
/// plain value, which can be read from a file:
///
/// ```
/// # use highwater_core::consistency::{Fallback, Level, ReadPolicy};
/// # use std::time::Duration;
/// let text = r#"{ "level": { "bounded": "2s" }, "budget": "50ms", "fallback": "serve_stale" }"#;
/// let policy: ReadPolicy = serde_json::from_str(text).unwrap();
/// assert_eq!(policy.level, Level::Bounded(Duration::from_secs(2)));
/// assert_eq!(policy.fallback, Fallback::ServeStale);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadPolicy {
    /// The freshness that the answer must have.
    pub level: Level,
    /// The time that the read may take to reach it; 5 seconds unless set.
    #[serde(with = "compact::required")]
    pub budget: Duration,
    /// The fallback when the budget is exhausted.
    pub fallback: Fallback,
}

impl Default for ReadPolicy {
    fn default() -> Self {
        Self {
            level: Level::default(),
            budget: Duration::from_secs(5),
            fallback: Fallback::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_a_policy_survives_a_file_and_what_is_left_out_is_the_default() {
        for level in [
            Level::Eventual,
            Level::Bounded(Duration::from_millis(1_500)),
            Level::ReadYourWrites,
            Level::Strong,
        ] {
            let budget = Duration::from_millis(20);
            let policy = ReadPolicy { level, budget, fallback: Fallback::Fold };
            let text = serde_json::to_string(&policy).unwrap();
            assert_eq!(serde_json::from_str::<ReadPolicy>(&text).unwrap(), policy, "{text}");
        }
        assert_eq!(serde_json::from_str::<ReadPolicy>("{}").unwrap(), ReadPolicy::default());
    }

    #[test]
    fn r3_a_policy_that_cannot_be_understood_is_refused() {
        for text in [r#"{"level":"weak"}"#, r#"{"budget":"soon"}"#, r#"{"fallbak":"fail"}"#] {
            assert!(serde_json::from_str::<ReadPolicy>(text).is_err(), "{text}");
        }
    }
}
