//! The views: one row for each account, folded from its events.

use highwater::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Account, AccountEvent};
use crate::switches::broken_accounts::{self, BrokenAccount};

/// The balance of an account.
#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = AccountEvent, name = "balances", by_stream = Account)]
pub struct Balance {
    /// The owner.
    pub owner: String,
    /// The balance in cents.
    pub cents: i64,
}

impl Balance {
    /// Fails for an account that was broken with the switch on the page, as a bug in a fold would.
    fn fold(&mut self, event: &AccountEvent, at: &EventContext<'_>) -> Result<(), BrokenAccount> {
        broken_accounts::check(at.key)?;
        match event {
            AccountEvent::Opened { owner } => self.owner.clone_from(owner),
            _ => self.cents += change(event),
        }
        Ok(())
    }
}

/// The number of entries in a statement.
const STATEMENT_SIZE: usize = 20;

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
    /// The time of the event.
    pub at: Timestamp,
    /// The description.
    pub text: String,
    /// The change of the balance in cents.
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
        self.entries.truncate(STATEMENT_SIZE);
    }
}

/// Returns the change of the balance in cents.
const fn change(event: &AccountEvent) -> i64 {
    match event {
        AccountEvent::Opened { .. } => 0,
        AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => *cents,
        AccountEvent::Withdrawn { cents } | AccountEvent::Sent { cents, .. } => -*cents,
    }
}
