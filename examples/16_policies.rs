//! Freshness policies that change while the program runs: for some keys, for all, and rolled back. The domain is
//! that of `02_bank`.
//!
//! `cargo run --example 16_policies`

mod accounts;
mod place;

use accounts::{Account, Balance, Deposit, Open};
use highwater::{
    consistency::{Level, Operation},
    policy::{Override, PolicyChange, PolicyRollback, Rule},
    prelude::*,
};

/// The read of a page.
const SHOW: Operation = Operation::standard("account.show");
/// The read that a transfer is decided on: no policy can relax it.
const OFFER: Operation = Operation::critical("transfer.offer");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bank = Highwater::open(&place::sqlite("16_policies.db")).await?;
    let policies = bank.policies();
    policies.register(&[SHOW, OFFER])?;

    // A worker builds the view, and stops: from here on the levels give different results.
    Worker::new(&bank).view::<Balance>().start().await?.stop().await?;
    for account in ["alice", "bob", "carol", "dave"] {
        bank.aggregate::<Account>(account).execute(Open { owner: account.to_owned() }).await?;
        bank.aggregate::<Account>(account).execute(Deposit { cents: 5_00 }).await?;
    }
    let offered = bank.view::<Balance>().get("alice").by(&OFFER).await?;
    println!("a critical operation reads {:?}: {} cents", offered.level(), offered.cents);
    show(&bank, "as the program was written").await?;

    let strong = Override::default().reading(Level::Strong);
    let change = || PolicyChange::by("ann", "customers miss their deposits");
    let half = Rule::default().rolled_out(50.0, strong);
    policies.change(change().set(&SHOW, half)).await?;
    show(&bank, "rolled out to half of the accounts").await?;
    policies.change(change().set(&SHOW, Rule::of_all(strong))).await?;
    show(&bank, "for all of them").await?;

    let eventual = Rule::of_all(Override::default().reading(Level::Eventual));
    let refused = policies.change(change().set(&OFFER, eventual)).await;
    println!("refused: {}", refused.err().ok_or("it is critical")?);

    policies.roll_back(PolicyRollback::by("bob", "one step back")).await?;
    policies.roll_back(PolicyRollback::by("bob", "the log is too slow for it")).await?;
    show(&bank, "rolled back").await?;
    for change in policies.history(4).await? {
        println!("change {} by {}: {}", change.version.get(), change.by, change.why);
    }
    println!("next: docs/guide/policies.md");
    Ok(())
}

async fn show(bank: &Highwater, when: &str) -> highwater::Result<()> {
    println!("{when}:");
    for account in ["alice", "bob", "carol", "dave"] {
        let balance = bank.view::<Balance>().get(account).by(&SHOW).find().await?;
        let (level, cents) = (balance.level(), balance.as_ref().map(|row| row.cents));
        println!("  {account}: {level:?}, {cents:?}");
    }
    Ok(())
}
