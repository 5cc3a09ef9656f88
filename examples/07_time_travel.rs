//! The log has every past state: load one as of a version, a position or a time. Before a new invariant is declared,
//! an audit lists the recorded histories that would have violated it.
//!
//! `cargo run --example 07_time_travel`

use std::{sync::Arc, time::Duration};

use highwater::{
    Version,
    domain::Invariant,
    prelude::*,
    stores::{self, MemoryStore},
    testing::ManualClock,
};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = AccountEvent)]
#[invariant(never_overdrawn, "never debit more than the available balance")]
#[invariant(insured, "no account holds more than is insured, 1000.00")]
struct Account {
    balance: i64,
}

impl Account {
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents } => self.balance += cents,
            AccountEvent::Withdrawn { cents } => self.balance -= cents,
        }
    }

    fn never_overdrawn(&self) -> Check {
        Check::that(self.balance >= 0).with("balance", self.balance)
    }

    fn insured(&self) -> Check {
        Check::that(self.balance <= 100_000).with("balance", self.balance)
    }
}

#[derive(Command)]
struct Deposit {
    cents: i64,
}

impl Decide<Deposit> for Account {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Deposited { cents: deposit.cents }])
    }
}

#[derive(Command)]
struct Withdraw {
    cents: i64,
}

impl Decide<Withdraw> for Account {
    fn decide(&self, withdraw: &Withdraw, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Withdrawn { cents: withdraw.cents }])
    }
}

/// An invariant that the bank plans to introduce.
const MINIMUM: Invariant<Account> = Invariant {
    name: "minimum",
    statement: "an account holds 10.00 at least",
    check: |account| Check::that(account.balance >= 10_00).with("balance", account.balance),
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A manual clock, so that a few days pass here.
    let clock = ManualClock::at("2025-03-01T12:00:00Z".parse()?);
    let bank = stores::on(MemoryStore::new(Arc::new(clock.clone()))).clock(clock.clone()).build();
    let (alice, bob) = (bank.aggregate::<Account>("alice"), bank.aggregate::<Account>("bob"));

    let first = alice.execute(Deposit { cents: 80_00 }).await?;
    clock.advance(DAY);
    bob.execute(Deposit { cents: 40_00 }).await?;
    alice.execute(Withdraw { cents: 75_00 }).await?;
    clock.advance(DAY);
    alice.execute(Deposit { cents: 20_00 }).await?;

    let evening = "2025-03-02T20:00:00Z".parse()?;
    for (as_of, expected) in [
        (AsOf::Now, 25_00),
        (AsOf::Version(Version::new(2)), 5_00),
        (AsOf::Position(first.position()), 80_00),
        (AsOf::Time(evening), 5_00),
    ] {
        let then = alice.load(as_of).await?;
        println!("{as_of:?}: {} cents at version {}", then.balance, then.version);
        assert_eq!(then.balance, expected);
    }

    println!("an account keeps these:");
    for invariant in Account::INVARIANTS {
        println!("  {}: {}", invariant.name, invariant.statement);
    }
    let violations = bank.audit(Account::INVARIANTS).await?;
    assert!(violations.is_empty(), "the log breaks what was checked before each append");

    let violations = bank.audit(&[MINIMUM]).await?;
    println!("a new one would have been broken {} times:", violations.len());
    for violation in &violations {
        let (stream, version) = (&violation.stream, violation.version);
        println!("  by {stream} from version {version} on: {}", violation.rejection);
    }
    let broken: Vec<_> = violations.iter().map(|v| (v.stream.key(), v.version.get())).collect();
    assert_eq!(broken, [("alice", 2)]);

    println!("next: cargo run --example 08_own_tables");
    Ok(())
}
