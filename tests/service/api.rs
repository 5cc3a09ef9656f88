//! A service that executes commands and reads, as an API does, so that their metrics have values.

use std::time::Duration;

use futures_util::future::join_all;
use highwater::{
    consistency::{Level, Operation},
    policy::{Override, PolicyChange, Rule},
    prelude::*,
};
use highwater_test_support::bank::{Account, Balance, Deposit, Withdraw};

/// The operation that is read continuously.
const CHECK: Operation = Operation::standard("account.check");

/// The budget of a read, too short for some views to catch up.
const SHORT_BUDGET: Duration = Duration::from_millis(20);

/// Runs two handles, each of which makes the cache of the other stale.
pub(crate) async fn serve_for_ever(banks: [Highwater; 2]) {
    let policies = banks[0].policies();
    policies.register(&[CHECK]).unwrap();
    let _following = policies.follow().await.unwrap();
    let strong = Rule::of_all(Override::default().reading(Level::Strong));
    policies.change(PolicyChange::by("ann", "a test").set(&CHECK, strong)).await.unwrap();
    join_all(banks.iter().map(serve)).await;
}

async fn serve(bank: &Highwater) {
    let (account, balance) =
        (bank.aggregate::<Account>("till"), || bank.view::<Balance>().get("till"));
    loop {
        let receipt = account.execute(Deposit { cents: 1 }).await.unwrap();
        let refused = account.execute(Withdraw { cents: i64::MAX }).await;
        assert!(refused.unwrap_err().is_rejected());
        match balance().after(&receipt).within(SHORT_BUDGET).find().await {
            Ok(found) => assert!(found.freshness().position >= receipt.position()),
            Err(error) => assert!(error.is_unavailable(), "{error}"),
        }
        balance().by(&CHECK).find().await.unwrap();
    }
}
