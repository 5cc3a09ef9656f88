//! An account: what can happen to it, what must always hold, and what it can be asked to do.

use highwater::prelude::*;

use super::{AccountId, Amount};

/// What has happened to an account.
#[derive(Event, Debug, PartialEq)]
#[event(prefix = "account")]
pub enum AccountEvent {
    /// Somebody has it now.
    Opened {
        /// Whose it is.
        owner: String,
    },
    /// Money was paid in.
    Deposited {
        /// How much.
        cents: i64,
    },
    /// Money was paid out.
    Withdrawn {
        /// How much.
        cents: i64,
    },
    /// Money went to another account.
    Sent {
        /// Which one.
        to: AccountId,
        /// How much.
        cents: i64,
    },
    /// Money came from another account.
    Received {
        /// Which one.
        from: AccountId,
        /// How much.
        cents: i64,
    },
}

/// An account, as far as decisions need to know it.
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
        Check::that(self.balance <= Amount::MOST).with("balance", self.balance)
    }

    /// What is in it, in cents.
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

/// Opens an account. An account has one owner: whoever opens it again must be the same.
#[derive(Command)]
pub struct Open {
    /// Whose it is to be.
    pub owner: String,
}

impl Decide<Open> for Account {
    fn decide(&self, open: &Open, _: &Context) -> Decision<AccountEvent> {
        match &self.owner {
            Some(owner) if *owner == open.owner => Ok(vec![]),
            Some(_) => Err(Rejection::new("one_owner", "somebody else has this account")),
            None => Ok(vec![AccountEvent::Opened { owner: open.owner.clone() }]),
        }
    }
}

/// Pays money in.
#[derive(Command)]
pub struct Deposit {
    /// How much.
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
    /// How much.
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
    /// To which account.
    pub to: AccountId,
    /// How much.
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
    /// From which account.
    pub from: AccountId,
    /// How much.
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
