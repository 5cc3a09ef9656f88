//! A bank: accounts with an invariant, and their balances as a read model. It depends on no database.
#![expect(unreachable_pub, reason = "it reads as it would in a library")]

use highwater::prelude::*;
#[derive(Event)]
#[event(prefix = "account")]
pub enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = AccountEvent, snapshot(every = 100))]
#[invariant(never_overdrawn, "never debit more than the available balance")]
pub struct Account {
    pub owner: Option<String>,
    pub balance: i64,
}

impl Account {
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents } => self.balance += cents,
            AccountEvent::Withdrawn { cents } => self.balance -= cents,
        }
    }

    fn never_overdrawn(&self) -> Check {
        Check::that(self.balance >= 0).with("balance", self.balance)
    }

    fn must_be_open(&self) -> Result<(), Rejection> {
        match self.owner {
            Some(_) => Ok(()),
            None => Err(Rejection::new("account_open", "open the account first")),
        }
    }
}

/// Opening an open account changes nothing, so it can be repeated.
#[derive(Command)]
pub struct Open {
    pub owner: String,
}

impl Decide<Open> for Account {
    fn decide(&self, open: &Open, _: &Context) -> Decision<AccountEvent> {
        Ok(match self.owner {
            Some(_) => vec![],
            None => vec![AccountEvent::Opened { owner: open.owner.clone() }],
        })
    }
}

#[derive(Command)]
pub struct Deposit {
    pub cents: i64,
}

impl Decide<Deposit> for Account {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        self.must_be_open()?;
        Ok(vec![AccountEvent::Deposited { cents: deposit.cents }])
    }
}

#[derive(Command)]
pub struct Withdraw {
    pub cents: i64,
}

impl Decide<Withdraw> for Account {
    fn decide(&self, withdraw: &Withdraw, _: &Context) -> Decision<AccountEvent> {
        self.must_be_open()?;
        Ok(vec![AccountEvent::Withdrawn { cents: withdraw.cents }])
    }
}

#[derive(View, Default, Clone)]
#[view(event = AccountEvent, name = "balances", by_stream = Account)]
pub struct Balance {
    pub owner: String,
    pub cents: i64,
}

impl Balance {
    fn fold(&mut self, event: &AccountEvent, _: &Envelope) {
        match event {
            AccountEvent::Opened { owner } => self.owner.clone_from(owner),
            AccountEvent::Deposited { cents } => self.cents += cents,
            AccountEvent::Withdrawn { cents } => self.cents -= cents,
        }
    }
}
