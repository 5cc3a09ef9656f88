//! W4 to W6 after a fail-over to a store that has lost its last events: what a process had cached of them is recognised.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use highwater::{
    Error, Highwater, Position, Version,
    error::Source,
    port::{Append, AppendFuture, Store},
    prelude::*,
};
use highwater_test_support::bank::{Account, AccountEvent, Bank, Deposit, Withdraw, banks};

use crate::intercept::{self, Intercept};

/// A store and its replica, to which it fails over.
struct Replicated {
    primary: Arc<dyn Store>,
    replica: Arc<dyn Store>,
    state: Mutex<Replication>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Replication {
    Runs,
    /// Events are acknowledged that the replica doesn't get.
    Lags,
    /// The next append is lost with the primary, and its outcome isn't known.
    FailsAtNextAppend,
    IsOver,
}

impl Replicated {
    async fn new(primary: &Bank, replica: &Bank) -> Arc<Self> {
        let state = Mutex::new(Replication::Runs);
        Arc::new(Self { primary: primary.store().await, replica: replica.store().await, state })
    }

    fn set(&self, state: Replication) {
        *self.state.lock().unwrap() = state;
    }
}

#[async_trait]
impl Intercept for Replicated {
    fn store(&self) -> Arc<dyn Store> {
        let is_over = *self.state.lock().unwrap() == Replication::IsOver;
        if is_over { self.replica.clone() } else { self.primary.clone() }
    }

    fn append(&self, append: Append) -> AppendFuture {
        let state = *self.state.lock().unwrap();
        let copy = append.clone();
        match state {
            Replication::FailsAtNextAppend => {
                self.set(Replication::IsOver);
                let source = Source::new("the primary is gone");
                let lost = Error::UnknownOutcome { command: append.command, source };
                std::future::ready(Err(lost)).boxed()
            }
            Replication::Runs => {
                let answer = self.primary.append(append);
                let replica = self.replica.clone();
                async move {
                    let appended = answer.await?;
                    assert_eq!(replica.append(copy).await?.position, appended.position);
                    Ok(appended)
                }
                .boxed()
            }
            Replication::Lags | Replication::IsOver => self.store().append(append),
        }
    }
}

/// A process with a cached state that the store has lost, and another one that has only seen the replica. The account of
/// alice has 5 cents, and 0 in the cached state.
struct FailedOver {
    here: Highwater,
    there: Highwater,
    /// Their files, as long as the handles are open.
    _stores: (Bank, Bank),
}

impl FailedOver {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (primary, replica) in banks().into_iter().zip(banks()) {
            let replicated = Replicated::new(&primary, &replica).await;
            let here = intercept::on(&replicated).build();
            let alice = here.aggregate::<Account>("alice");
            alice.execute(Deposit { cents: 5 }).await.unwrap();
            replicated.set(Replication::Lags);
            alice.execute(Withdraw { cents: 5 }).await.unwrap();
            replicated.set(Replication::IsOver);
            let there = replica.open().await;
            all.push(Self { here, there, _stores: (primary, replica) });
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_rejection_on_events_that_a_failover_has_lost_is_decided_again() {
    for FailedOver { here, .. } in FailedOver::all().await {
        let alice = here.aggregate::<Account>("alice");
        let receipt = alice.execute(Withdraw { cents: 3 }).await.unwrap();
        assert_eq!(receipt.position(), Position::new(2));
        let rejected = alice.execute(Withdraw { cents: 3 }).await.unwrap_err();
        assert_eq!(rejected.rejection().unwrap().value("balance"), Some(&serde_json::json!(-1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_rejection_on_another_history_of_the_same_length_or_longer_is_decided_again() {
    for FailedOver { here, there, .. } in FailedOver::all().await {
        let alice = there.aggregate::<Account>("alice");
        alice.execute(Deposit { cents: 1 }).await.unwrap();
        let receipt = here.aggregate::<Account>("alice").execute(Withdraw { cents: 6 }).await;
        assert_eq!(receipt.unwrap().position(), Position::new(3));
    }
    for FailedOver { here, there, .. } in FailedOver::all().await {
        let alice = there.aggregate::<Account>("alice");
        alice.execute(Deposit { cents: 1 }).await.unwrap();
        alice.execute(Deposit { cents: 1 }).await.unwrap();
        here.aggregate::<Account>("alice").execute(Withdraw { cents: 7 }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_the_token_of_a_command_without_events_is_never_beyond_the_head_after_a_failover() {
    for FailedOver { here, .. } in FailedOver::all().await {
        let nothing = here.aggregate::<Account>("alice").execute(Deposit { cents: 0 }).await;
        assert_eq!(nothing.unwrap().position(), here.log().head().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_an_expected_version_is_compared_with_the_store_after_a_failover() {
    for FailedOver { here, .. } in FailedOver::all().await {
        let alice = here.aggregate::<Account>("alice");
        let request = |version| Request::new(Deposit { cents: 1 }).expecting(Version::new(version));
        alice.execute(request(1)).await.unwrap();
        let conflict = alice.execute(request(1)).await.unwrap_err();
        assert_eq!(conflict.conflict().unwrap().actual_version(), Some(Version::new(2)));
    }
}

/// A resolver judges the events that came after what the caller saw. If the store doesn't have that, there is nothing to judge.
#[tokio::test(flavor = "multi_thread")]
async fn w1_a_resolver_is_not_asked_about_a_version_that_a_failover_has_lost() {
    for length in [0, 1] {
        for FailedOver { here, there, .. } in FailedOver::all().await {
            let others = there.aggregate::<Account>("alice");
            for _ in 0..length {
                others.execute(Deposit { cents: 1 }).await.unwrap();
            }
            let tolerant = |_: &[AccountEvent], _: &[AccountEvent]| true;
            let alice = here.aggregate::<Account>("alice").resolving(tolerant);
            let stale = Request::new(Deposit { cents: 1 }).expecting(Version::new(2));
            let conflict = alice.execute(stale).await.unwrap_err();
            assert!(conflict.is_conflict(), "{conflict}");
        }
    }
}

/// One more account, of which there may be two.
#[derive(Decider, Clone)]
#[decider(event = AccountEvent)]
#[invariant(at_most_two, "there are at most two accounts")]
struct Accounts {
    number: u32,
}

impl Accounts {
    fn apply(&mut self, event: &AccountEvent) {
        if let AccountEvent::Opened { .. } = event {
            self.number += 1;
        }
    }

    fn at_most_two(&self) -> bool {
        self.number <= 2
    }
}

impl Boundary for Accounts {
    fn query(&self) -> Query {
        Query::tags([Tag::new("owner", "bob")])
    }

    fn stream(&self) -> highwater::Result<StreamId> {
        Ok(StreamId::new("owner", "bob")?)
    }
}

#[derive(Command)]
struct OpenAccount;

impl Decide<OpenAccount> for Accounts {
    fn decide(&self, _: &OpenAccount, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Opened { owner: "bob".to_owned() }])
    }
}

async fn open_account(bank: &Highwater) -> highwater::Result<Receipt> {
    bank.boundary(Accounts { number: 0 }).execute(OpenAccount).await
}

/// Between two attempts of one command the store fails over to a log that is shorter than what the first attempt has
/// read, and has other events.
#[tokio::test(flavor = "multi_thread")]
async fn w6_a_decision_over_a_query_begins_again_after_a_failover_between_its_attempts() {
    for opened_before in [0, 1] {
        for (primary, replica) in banks().into_iter().zip(banks()) {
            let replicated = Replicated::new(&primary, &replica).await;
            let here = intercept::on(&replicated).build();
            replicated.set(Replication::Lags);
            for _ in 0..2 {
                here.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
            }
            for _ in 0..opened_before {
                open_account(&here).await.unwrap();
            }
            let there = replica.open().await;
            open_account(&there).await.unwrap();
            open_account(&there).await.unwrap();
            replicated.set(Replication::FailsAtNextAppend);
            let refused = open_account(&here).await.unwrap_err();
            assert_eq!(refused.rejection().unwrap().name(), "at_most_two", "{refused}");
        }
    }
}
