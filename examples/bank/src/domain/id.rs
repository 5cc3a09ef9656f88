//! The id of an account.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of an account: 1 to 40 of `a-z`, `0-9`, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// The error of a text that is not an account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of an account is 1 to 40 of a-z, 0-9, - and _")]
pub struct InvalidAccountId;

impl TryFrom<String> for AccountId {
    type Error = InvalidAccountId;

    fn try_from(name: String) -> Result<Self, InvalidAccountId> {
        let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        let fits = (1..=40).contains(&name.len()) && name.bytes().all(is_allowed);
        fits.then_some(Self(name)).ok_or(InvalidAccountId)
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

impl AsRef<str> for AccountId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
