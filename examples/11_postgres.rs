//! From SQLite to PostgreSQL by changing the URL: the domain, the commands and the reads are those of `02_bank`, in the
//! same files. Two handles stand for two processes that share a server.
//!
//! `cargo run --example 11_postgres -- postgres://USER:PASSWORD@HOST/DATABASE`

mod accounts;

use std::env;

use accounts::{Account, Balance, Deposit, Open, Withdraw};
use highwater::prelude::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let server = env::args().nth(1).or_else(|| env::var("HIGHWATER_EXAMPLE_POSTGRES").ok());
    match server {
        Some(url) => at_the_bank(&url).await?,
        None => without_a_server()?,
    }
    println!("next: cargo run --example 12_workers");
    Ok(())
}

async fn at_the_bank(url: &str) -> Outcome {
    let (teller, office) = (Highwater::open(url).await?, Highwater::open(url).await?);
    let worker = Worker::new(&office).view::<Balance>().start().await?;

    for (name, cents) in [("alice", 50_00), ("bob", 20_00)] {
        let account = teller.aggregate::<Account>(name);
        account.execute(Open { owner: name.to_owned() }).await?;
        account.execute(Deposit { cents }).await?;
    }
    let transfer = teller
        .atomically()
        .on::<Account, _>("alice", Withdraw { cents: 30_00 })
        .on::<Account, _>("bob", Deposit { cents: 30_00 })
        .execute()
        .await?;

    // With the teller's receipt, the office waits for the teller's command.
    for name in ["alice", "bob"] {
        let balance = office.view::<Balance>().get(name).after(&transfer).await?;
        println!("{}: {} cents as of {}", balance.owner, balance.cents, balance.freshness());
        let then = AsOf::Position(balance.freshness().position);
        assert_eq!(balance.cents, office.aggregate::<Account>(name).load(then).await?.balance);
    }
    worker.stop().await?;
    println!("the log is in the schema \"highwater\": run it again and watch it grow");
    Ok(())
}

/// Skips the example, or fails if the environment requires a server.
fn without_a_server() -> Outcome {
    println!(
        "\
======================================================================
SKIPPED: no PostgreSQL server (15 or newer) is named. Name one:

  cargo run --example 11_postgres -- postgres://USER:PASSWORD@HOST/DATABASE

or, in a checkout of Highwater, bring up a private one:

  scripts/run-examples 11_postgres
======================================================================"
    );
    match env::var("HIGHWATER_REQUIRE_SERVICES") {
        Ok(required) if required == "1" => {
            Err("HIGHWATER_REQUIRE_SERVICES=1 allows no skip".into())
        }
        _ => Ok(()),
    }
}
