//! Accounts with an invariant, in a SQLite file, and their balances as a read model.
//!
//! `cargo run --example 02_bank`

use std::{env, path::PathBuf};

use highwater::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = AccountEvent, snapshot(every = 100))]
#[invariant(never_overdrawn, "never debit more than the available balance")]
struct Account {
    owner: Option<String>,
    balance: i64,
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
        Check::that(self.balance >= 0).showing("balance", self.balance)
    }

    fn must_be_open(&self) -> Result<(), Rejection> {
        match self.owner {
            Some(_) => Ok(()),
            None => Err(Rejection::new("account_open", "open the account first")),
        }
    }
}

/// Opening an account that is open changes nothing, so this program can run again and again.
#[derive(Command)]
struct Open {
    owner: String,
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
struct Deposit {
    cents: i64,
}

impl Decide<Deposit> for Account {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        self.must_be_open()?;
        Ok(vec![AccountEvent::Deposited { cents: deposit.cents }])
    }
}

#[derive(Command)]
struct Withdraw {
    cents: i64,
}

impl Decide<Withdraw> for Account {
    fn decide(&self, withdraw: &Withdraw, _: &Context) -> Decision<AccountEvent> {
        self.must_be_open()?;
        Ok(vec![AccountEvent::Withdrawn { cents: withdraw.cents }])
    }
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Balance {
    owner: String,
    cents: i64,
}

impl View for Balance {
    type Event = AccountEvent;
    const NAME: &'static str = "balances";

    fn key(_: &AccountEvent, envelope: &Envelope) -> Option<String> {
        Some(envelope.stream.key().to_owned())
    }

    fn fold(&mut self, event: &AccountEvent, _: &Envelope) {
        match event {
            AccountEvent::Opened { owner } => self.owner.clone_from(owner),
            AccountEvent::Deposited { cents } => self.cents += cents,
            AccountEvent::Withdrawn { cents } => self.cents -= cents,
        }
    }
}

#[tokio::main]
async fn main() -> highwater::Result<()> {
    let folder = env::var_os("HIGHWATER_EXAMPLE_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let file = folder.join("highwater-bank.db");
    let bank = Highwater::open(&format!("sqlite:{}", file.display())).await?;
    let worker = ViewWorker::<Balance>::start(&bank, Default::default()).await?;

    for (name, cents) in [("alice", 50_00), ("bob", 20_00)] {
        let account = bank.aggregate::<Account>(name);
        account.execute(Open { owner: name.to_owned() }).await?;
        account.execute(Deposit { cents }).await?;
    }

    // Both accounts change, or neither.
    let transfer = bank
        .atomically()
        .on::<Account, _>("alice", Withdraw { cents: 30_00 })
        .on::<Account, _>("bob", Deposit { cents: 30_00 })
        .execute()
        .await?;
    for name in ["alice", "bob"] {
        let balance = bank.view::<Balance>().get(name).after(&transfer).await?;
        println!("{}: {} cents as of {}", balance.owner, balance.cents, balance.freshness());
    }

    // The same request twice: the id makes it one.
    let id = CommandId::derive(["request", "4711"]);
    let bob = bank.aggregate::<Account>("bob");
    let first = bob.execute(Request::new(Withdraw { cents: 1 }).id(id)).await?;
    let again = bob.execute(Request::new(Withdraw { cents: 1 }).id(id)).await?;
    println!("sent twice, stored once: {}", first == again);

    match bank.aggregate::<Account>("alice").execute(Withdraw { cents: 1_000_000 }).await {
        Ok(_) => println!("alice is rich"),
        Err(error) => println!("refused ({}): {error}", error.code()),
    }
    worker.stop().await?;
    println!("the log is in {}; run it again and watch it grow", file.display());
    Ok(())
}
