//! What is read: a row for each account, folded from its events.

use highwater::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Account, AccountEvent};
use crate::switches::broken;

/// What is in an account.
#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = AccountEvent, name = "balances", by_stream = Account)]
pub struct Balance {
    /// Whose it is.
    pub owner: String,
    /// What is in it.
    pub cents: i64,
}

impl Balance {
    /// Fails for an account whose row has been broken from the page, as a mistake in a fold would.
    fn fold(&mut self, event: &AccountEvent, at: &EventContext<'_>) -> Result<(), broken::Broken> {
        broken::check(at.key)?;
        match event {
            AccountEvent::Opened { owner } => self.owner.clone_from(owner),
            _ => self.cents += change(event),
        }
        Ok(())
    }
}

/// How many of the last entries a statement shows.
const SHOWN: usize = 20;

/// The last entries of an account, the newest first.
#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = AccountEvent, name = "statements", by_stream = Account)]
pub struct Statement {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// A line of a statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What for.
    pub text: String,
    /// By how much the balance changed.
    pub cents: i64,
}

impl Statement {
    fn fold(&mut self, event: &AccountEvent, at: &EventContext<'_>) {
        let text = match event {
            AccountEvent::Opened { owner } => format!("opened for {owner}"),
            AccountEvent::Deposited { .. } => "deposit".to_owned(),
            AccountEvent::Withdrawn { .. } => "withdrawal".to_owned(),
            AccountEvent::Sent { to, .. } => format!("to {to}"),
            AccountEvent::Received { from, .. } => format!("from {from}"),
        };
        self.entries.insert(0, Entry { at: at.recorded_at, text, cents: change(event) });
        self.entries.truncate(SHOWN);
    }
}

/// By how much an event changes the balance.
const fn change(event: &AccountEvent) -> i64 {
    match event {
        AccountEvent::Opened { .. } => 0,
        AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => *cents,
        AccountEvent::Withdrawn { cents } | AccountEvent::Sent { cents, .. } => -*cents,
    }
}
