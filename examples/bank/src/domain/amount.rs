//! The amount of money in a command.

use serde::{Deserialize, Serialize};

/// An amount of money in cents: positive, and at most the largest balance of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

impl Amount {
    /// The largest balance of an account, and the largest amount.
    pub const MAX_CENTS: i64 = 1_000_000 * 100;

    /// The cents.
    #[must_use]
    pub const fn cents(self) -> i64 {
        self.0
    }
}

/// The error of a number that is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is between 0.01 and 1,000,000.00")]
pub struct NotAnAmount;

impl TryFrom<i64> for Amount {
    type Error = NotAnAmount;

    fn try_from(cents: i64) -> Result<Self, NotAnAmount> {
        (1..=Self::MAX_CENTS).contains(&cents).then_some(Self(cents)).ok_or(NotAnAmount)
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}
