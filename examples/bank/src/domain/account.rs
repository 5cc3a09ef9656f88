//! An account: its events, invariants and commands.

use highwater::prelude::*;

use super::{AccountId, Amount};

/// An event of an account.
#[derive(Event, Debug, PartialEq)]
#[event(prefix = "account")]
pub enum AccountEvent {
    /// The account was opened.
    Opened {
        /// The owner.
        owner: String,
    },
    /// Money was paid in.
    Deposited {
        /// The amount.
        cents: i64,
    },
    /// Money was paid out.
    Withdrawn {
        /// The amount.
        cents: i64,
    },
    /// Money went to another account.
    Sent {
        /// The other account.
        to: AccountId,
        /// The amount.
        cents: i64,
    },
    /// Money came from another account.
    Received {
        /// The other account.
        from: AccountId,
        /// The amount.
        cents: i64,
    },
}

/// The state of an account that decisions need.
#[derive(Aggregate, Default, Clone)]
#[aggregate(event = AccountEvent, snapshot(every = 100))]
#[invariant(never_overdrawn, "never debit more than the available balance")]
#[invariant(never_overfull, "an account holds at most 1,000,000.00")]
pub struct Account {
    owner: Option<String>,
    balance: i64,
}

impl Account {
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => {
                self.balance += cents;
            }
            AccountEvent::Withdrawn { cents } | AccountEvent::Sent { cents, .. } => {
                self.balance -= cents;
            }
        }
    }

    fn never_overdrawn(&self) -> Check {
        Check::that(self.balance >= 0).with("balance", self.balance)
    }

    fn never_overfull(&self) -> Check {
        Check::that(self.balance <= Amount::MAX_CENTS).with("balance", self.balance)
    }

    /// The balance in cents.
    #[must_use]
    pub const fn balance(&self) -> i64 {
        self.balance
    }

    fn must_be_open(&self) -> Result<(), Rejection> {
        match self.owner {
            Some(_) => Ok(()),
            None => Err(Rejection::new("account_open", "open the account first")),
        }
    }
}

/// Opens an account. An account has one owner, who can open it again without effect.
#[derive(Command)]
pub struct Open {
    /// The owner.
    pub owner: String,
}

impl Decide<Open> for Account {
    fn decide(&self, open: &Open, _: &Context) -> Decision<AccountEvent> {
        match &self.owner {
            Some(owner) if *owner == open.owner => Ok(vec![]),
            Some(_) => Err(Rejection::new("one_owner", "this account has another owner")),
            None => Ok(vec![AccountEvent::Opened { owner: open.owner.clone() }]),
        }
    }
}

/// Pays money in.
#[derive(Command)]
pub struct Deposit {
    /// The amount.
    pub amount: Amount,
}

impl Decide<Deposit> for Account {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        self.must_be_open()?;
        Ok(vec![AccountEvent::Deposited { cents: deposit.amount.cents() }])
    }
}

/// Pays money out.
#[derive(Command)]
pub struct Withdraw {
    /// The amount.
    pub amount: Amount,
}

impl Decide<Withdraw> for Account {
    fn decide(&self, withdraw: &Withdraw, _: &Context) -> Decision<AccountEvent> {
        self.must_be_open()?;
        Ok(vec![AccountEvent::Withdrawn { cents: withdraw.amount.cents() }])
    }
}

/// One half of a transfer: the money leaves.
#[derive(Command)]
pub struct Send {
    /// The receiving account.
    pub to: AccountId,
    /// The amount.
    pub amount: Amount,
}

impl Decide<Send> for Account {
    fn decide(&self, send: &Send, _: &Context) -> Decision<AccountEvent> {
        self.must_be_open()?;
        Ok(vec![AccountEvent::Sent { to: send.to.clone(), cents: send.amount.cents() }])
    }
}

/// The other half of a transfer: the money arrives.
#[derive(Command)]
pub struct Receive {
    /// The sending account.
    pub from: AccountId,
    /// The amount.
    pub amount: Amount,
}

impl Decide<Receive> for Account {
    fn decide(&self, receive: &Receive, _: &Context) -> Decision<AccountEvent> {
        self.must_be_open()?;
        Ok(vec![AccountEvent::Received {
            from: receive.from.clone(),
            cents: receive.amount.cents(),
        }])
    }
}
