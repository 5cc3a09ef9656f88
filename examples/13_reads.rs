//! Reads that say how fresh they are: what each level gives while the view is behind, what happens past the
//! budget, and how a token makes a read wait for a write. The domain is that of `02_bank`.
//!
//! `cargo run --example 13_reads`

mod accounts;

use std::time::Duration;

use accounts::{Account, Balance, Deposit, Open, Withdraw};
use highwater::{AppliedOutcome, Basis, Code, Fallback, Token, prelude::*};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bank = Highwater::open("memory:").await?;
    let account = bank.aggregate::<Account>("alice");
    let opened = account.execute(Open { owner: "Alice".to_owned() }).await?;

    // A worker builds the view, and stops: from here on the view is behind.
    let worker = Worker::new(&bank).view::<Balance>().start().await?;
    let balances = bank.view::<Balance>();
    balances.get("alice").after(&opened).await?;
    worker.stop().await?;
    account.execute(Deposit { cents: 90_00 }).await?;
    let receipt = account.execute(Withdraw { cents: 30_00 }).await?;

    let eventual = balances.get("alice").await?;
    println!("eventual: {} cents, {}", eventual.cents, eventual.freshness());
    assert_eq!((eventual.cents, eventual.freshness().lag()), (0, Some(2)));

    // What the view lacks is folded over its row, from the log.
    let strong = balances.get("alice").strong().await?;
    println!("strong: {} cents, {}", strong.cents, strong.freshness());
    assert_eq!((strong.cents, strong.basis()), (60_00, Basis::Folded));

    // The token is text. It can go to the browser and come back with the next request.
    let token: Token = receipt.token().to_string().parse()?;
    let mine = || balances.get("alice").after(&token).within(Duration::from_millis(20));
    let error = mine().await.err().ok_or("nobody feeds the view")?;
    assert_eq!(error.code(), Code::STALE_READ);
    println!("read your writes ({}): {error}", error.code());
    let stale = mine().or(Fallback::ServeStale).await?;
    assert!(stale.is_stale());
    println!("the same, served stale: {} cents", stale.cents);

    // For a page that shows at once what its user has just done, and nothing of what others did.
    let own = balances.get("alice").with_own(&receipt).await?;
    assert_eq!((own.cents, own.basis()), (-30_00, Basis::Optimistic));
    println!("with one's own alone: {} cents, {:?}", own.cents, own.basis());

    // A worker comes, and whoever waits is woken.
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
