//! Accounts whose balance can't be kept up, as if the fold had a mistake that only their events meet.
//! A fold has nothing but its arguments, so these are known to the whole process.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

static BROKEN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Why an event can't be applied.
#[derive(Debug, thiserror::Error)]
#[error("the balance of {0} has been broken from the page")]
pub struct Broken(String);

/// Whether the events of an account can be applied.
///
/// # Errors
/// [`Broken`] if they can't.
pub fn check(account: &str) -> Result<(), Broken> {
    let broken = BROKEN.read().unwrap_or_else(PoisonError::into_inner);
    if broken.contains(account) { Err(Broken(account.to_owned())) } else { Ok(()) }
}

/// Breaks these accounts, and repairs all others.
pub(super) fn are(accounts: &BTreeSet<String>) {
    BROKEN.write().unwrap_or_else(PoisonError::into_inner).clone_from(accounts);
}
