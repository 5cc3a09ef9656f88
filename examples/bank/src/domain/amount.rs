//! How much money a command may move.

use serde::{Deserialize, Serialize};

/// Money that moves, in cents: more than none, and no more than an account may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

impl Amount {
    /// The most that an account may hold, and so the most that can move.
    pub const MOST: i64 = 1_000_000 * 100;

    /// The cents.
    #[must_use]
    pub const fn cents(self) -> i64 {
        self.0
    }
}

/// A number that is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is between 0.01 and 1,000,000.00")]
pub struct NotAnAmount;

impl TryFrom<i64> for Amount {
    type Error = NotAnAmount;

    fn try_from(cents: i64) -> Result<Self, NotAnAmount> {
        (1..=Self::MOST).contains(&cents).then_some(Self(cents)).ok_or(NotAnAmount)
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}
