//! Reads that state their freshness: the result of each level while the view lags, the end of the waiting time, and a
//! token that makes a read wait for a write. The domain is that of `02_bank`.
//!
//! `cargo run --example 13_reads`

mod accounts;

use std::time::Duration;

use accounts::{Account, Balance, Deposit, Open, Withdraw};
use highwater::{
    Code, Token,
    consistency::{AppliedOutcome, Basis, Fallback},
    prelude::*,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bank = Highwater::open("memory:").await?;
    let account = bank.aggregate::<Account>("alice");
    let opened = account.execute(Open { owner: "Alice".to_owned() }).await?;

    // A worker builds the view, and stops: from here on the view lags.
    let worker = Worker::new(&bank).view::<Balance>().start().await?;
    let balances = bank.view::<Balance>();
    balances.get("alice").after(&opened).await?;
    worker.stop().await?;
    account.execute(Deposit { cents: 90_00 }).await?;
    let receipt = account.execute(Withdraw { cents: 30_00 }).await?;

    let eventual = balances.get("alice").await?;
    println!("eventual: {} cents, {}", eventual.cents, eventual.freshness());
    assert_eq!((eventual.cents, eventual.freshness().lag()), (0, Some(2)));

    // The missing events are read from the log and folded over the row.
    let strong = balances.get("alice").strong().await?;
    println!("strong: {} cents, {}", strong.cents, strong.freshness());
    assert_eq!((strong.cents, strong.basis()), (60_00, Basis::Folded));

    // The token is text. It can go to the browser and come back with the next request.
    let token: Token = receipt.token().to_string().parse()?;
    let after_write = || balances.get("alice").after(&token).within(Duration::from_millis(20));
    let error = after_write().await.err().ok_or("no worker runs")?;
    assert_eq!(error.code(), Code::STALE_READ);
    println!("read your writes ({}): {error}", error.code());
    let stale = after_write().or(Fallback::ServeStale).await?;
    assert!(stale.is_stale());
    println!("the same, served stale: {} cents", stale.cents);

    // For a page that shows its user's own events at once, and no events of other users.
    let own = balances.get("alice").with_own(&receipt).await?;
    assert_eq!((own.cents, own.basis()), (-30_00, Basis::Optimistic));
    println!("with the caller's own events: {} cents, {:?}", own.cents, own.basis());

    // A worker starts, and wakes the waiting read.
    let waiting = balances.applied("alice", &receipt);
    let worker = Worker::new(&bank).view::<Balance>().start().await?;
    match waiting.await? {
        AppliedOutcome::Applied(freshness) => println!("applied: {freshness}"),
        AppliedOutcome::Pending(pending) => return Err(pending.to_string().into()),
    }
    let page = balances.range("a".., 10).after(&token).await?;
    println!("{} rows, all of them {}", page.len(), page.freshness());
    worker.stop().await?;
    println!("next: cargo run --example 14_service");
    Ok(())
}
