//! The measured domain: accounts whose events have about 150 bytes of payload.

use highwater::prelude::*;
use serde::{Deserialize, Serialize};

/// The number of accounts.
pub(crate) const ACCOUNTS: u64 = 1_000;

#[derive(Event)]
#[event(prefix = "account")]
pub(crate) enum AccountEvent {
    Deposited { cents: i64, memo: String },
}

pub(crate) fn memo(number: u64) -> String {
    format!(
        "invoice {number:08}, paid by standing order on the first working day of the month, with thanks"
    )
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = AccountEvent)]
#[invariant(never_overdrawn, "never debit more than the available balance")]
pub(crate) struct Account {
    balance: i64,
}

impl Account {
    fn apply(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent) {
        self.balance += cents;
    }

    fn never_overdrawn(&self) -> Check {
        Check::that(self.balance >= 0).with("balance", self.balance)
    }
}

/// The same account with snapshots.
#[derive(Aggregate, Default, Clone, Serialize, Deserialize)]
#[aggregate(event = AccountEvent, snapshot(every = 1_000))]
pub(crate) struct Saved {
    balance: i64,
}

impl Saved {
    fn apply(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent) {
        self.balance += cents;
    }
}

#[derive(Command)]
pub(crate) struct Deposit {
    cents: i64,
    memo: String,
}

impl Deposit {
    pub(crate) fn number(number: u64) -> Self {
        Self { cents: 1, memo: memo(number) }
    }
}

impl Decide<Deposit> for Account {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Deposited { cents: deposit.cents, memo: deposit.memo.clone() }])
    }
}

impl Decide<Deposit> for Saved {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Deposited { cents: deposit.cents, memo: deposit.memo.clone() }])
    }
}

/// The name of the view.
pub(crate) const BALANCES: &str = "balances";

/// The view of the accounts.
#[derive(View, Default, Clone)]
#[view(event = AccountEvent, name = "balances", by_stream = Account)]
pub(crate) struct Balance {
    cents: i64,
    events: u64,
}

impl Balance {
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }
}

impl Balance {
    fn fold(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent, _: &Envelope) {
        self.cents += cents;
        self.events += 1;
    }
}

/// The same view, with a key that need not be the stream's.
#[cfg(feature = "kafka")]
#[derive(View, Default, Clone)]
#[view(event = AccountEvent, name = "totals")]
pub(crate) struct Total {
    cents: i64,
    events: u64,
}

#[cfg(feature = "kafka")]
impl Total {
    fn key(_: &AccountEvent, envelope: &Envelope) -> String {
        envelope.stream.key().to_owned()
    }

    fn fold(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent, _: &Envelope) {
        self.cents += cents;
        self.events += 1;
    }
}
