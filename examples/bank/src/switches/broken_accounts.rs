//! Accounts whose events can't be applied, as if the fold had a bug that only their events trigger. A fold has
//! only its arguments, so the set is global to the process.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

static BROKEN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// The error of an account whose events can't be applied.
#[derive(Debug, thiserror::Error)]
#[error("the balance of {0} was broken with the switch on the page")]
pub struct BrokenAccount(String);

/// Checks that the events of an account can be applied.
///
/// # Errors
/// [`BrokenAccount`] if they can't.
pub fn check(account: &str) -> Result<(), BrokenAccount> {
    let broken = BROKEN.read().unwrap_or_else(PoisonError::into_inner);
    if broken.contains(account) { Err(BrokenAccount(account.to_owned())) } else { Ok(()) }
}

/// Breaks these accounts, and repairs all others.
pub(super) fn set(accounts: &BTreeSet<String>) {
    BROKEN.write().unwrap_or_else(PoisonError::into_inner).clone_from(accounts);
}
