//! Accounts with an invariant, in a SQLite file, and their balances as a read model. The domain is in
//! `accounts/mod.rs`; this program opens the store, executes commands and reads the view.
//!
//! `cargo run --example 02_bank`

mod accounts;
mod place;

use accounts::{Account, Balance, Deposit, Open, Withdraw};
use highwater::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = place::sqlite("highwater-bank.db");
    let bank = Highwater::open(&url).await?;
    let worker = Worker::new(&bank).view::<Balance>().start().await?;

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

    // The same request twice: its id makes the second one a repetition.
    let id = CommandId::derive(["request", "4711"]);
    let bob = bank.aggregate::<Account>("bob");
    let first = bob.execute(Request::new(Withdraw { cents: 1 }).id(id)).await?;
    let again = bob.execute(Request::new(Withdraw { cents: 1 }).id(id)).await?;
    assert_eq!(first, again);
    println!("sent twice, stored once: bob is at {} cents", bob.load(AsOf::Now).await?.balance);

    let alice = bank.view::<Balance>().get("alice").after(&transfer).await?;
    let too_much = Withdraw { cents: alice.cents + 1 };
    let refused = bank.aggregate::<Account>("alice").execute(too_much).await;
    let error = refused.err().ok_or("alice has overdrawn her account")?;
    assert_eq!(error.rejection().map(Rejection::name), Some("never_overdrawn"));
    println!("refused ({}): {error}", error.code());

    worker.stop().await?;
    println!("the log is in {url}: run it again and watch it grow");
    println!("next: cargo run --example 03_services");
    Ok(())
}
