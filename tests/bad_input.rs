//! Bad input, from the command to the read model, on every store: a clear error, and nothing lost.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]
#![cfg(feature = "testing")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use highwater::{
    Code, Highwater, Position, StreamId,
    domain::ViewName,
    error::NextStep,
    follow::UnknownEvents,
    port::{ClaimMode, NewEvent, Progress, ShardClaim, ViewCommit, WorkerId},
    prelude::*,
    projection::ParkedKeys,
    stores::{self, testing::build},
    value::{SchemaVersion, ShardId, Sharding},
    worker::ProjectionState,
};
use highwater_test_support::bank::{Account, Balance, Bank, Deposit, Withdraw, banks};

/// Stores an event of alice's that no program of this version would have stored.
async fn store_raw(bank: &Highwater, event: NewEvent) {
    let alice = StreamId::new("account", "alice").unwrap();
    bank.log().append(build::append_one(&alice, event)).await.unwrap();
}

/// Alice's account can't be loaded or changed, and nothing is appended.
async fn stands_still(bank: &Highwater, code: Code, words: &[&str]) {
    let alice = bank.aggregate::<Account>("alice");
    let head = bank.log().head().await.unwrap();
    let loaded = alice.load(AsOf::Now).await.unwrap_err();
    let executed = alice.execute(Deposit { cents: 1 }).await.unwrap_err();
    for error in [loaded, executed] {
        assert_eq!((error.code(), error.next_step()), (code, NextStep::AskOperator), "{error}");
        for word in [&["account-alice"], words].concat() {
            assert!(error.to_string().contains(word), "no {word:?} in: {error}");
        }
    }
    assert_eq!(bank.log().head().await.unwrap(), head);
    bank.aggregate::<Account>("bob").execute(Deposit { cents: 1 }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_unknown_type_is_named_and_is_skipped_only_on_demand() {
    for store in banks() {
        let bank = store.open().await;
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 5 }).await.unwrap();
        store_raw(&bank, build::typed("account.renamed")).await;
        stands_still(&store.open().await, Code::UNKNOWN_EVENT, &["account.renamed", "event 2"])
            .await;
        let lenient = store.builder().await.unknown_events(UnknownEvents::Skip).build();
        let alice = lenient.aggregate::<Account>("alice").load(AsOf::Now).await.unwrap();
        assert_eq!((alice.balance, alice.version.get()), (5, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_cannot_be_decoded_is_named_and_stops_the_view_before_it() {
    for payload in [&b"{"[..], b"", b"\xff\xfe", b"{\"cents\":\"five\"}", b"[]", b"null"] {
        for store in banks() {
            let bank = store.open().await;
            bank.aggregate::<Account>("bob").execute(Deposit { cents: 5 }).await.unwrap();
            let event = NewEvent { payload: payload.into(), ..build::typed("account.deposited") };
            store_raw(&bank, event).await;
            stands_still(&bank, Code::UNDECODABLE, &["event 2", "account.deposited"]).await;
            let error = why_the_view_stops(&bank).await;
            assert_eq!(error.code(), Code::UNDECODABLE, "{error}");
            let bob = bank.view::<Balance>().get("bob").await.unwrap();
            assert_eq!((bob.cents, bob.freshness().position.get()), (5, 1));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_newer_schema_is_named_with_both_versions() {
    for store in banks() {
        let bank = store.open().await;
        let mut event = build::typed("account.deposited");
        event.event_type.version = SchemaVersion::new(7);
        store_raw(&bank, event).await;
        stands_still(&bank, Code::NEWER_EVENT, &["account.deposited", "version 7", "up to 1"])
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_over_the_limit_is_refused_and_leaves_the_state_unchanged() {
    for store in banks() {
        let bank = store.open().await;
        let alice = bank.aggregate::<Account>("alice");
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        let large = Request::new(Deposit { cents: 7 }).with("note", "x".repeat(70_000));
        let error = alice.execute(large).await.unwrap_err();
        assert_eq!((error.code(), error.next_step()), (Code::TOO_LARGE, NextStep::FixRequest));
        alice.execute(Withdraw { cents: 5 }).await.unwrap();
        assert_eq!(alice.load(AsOf::Now).await.unwrap().balance, 0);
        assert_eq!(bank.log().head().await.unwrap().get(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_keys_are_refused_and_hostile_keys_are_only_keys() {
    for store in banks() {
        let bank = store.open().await;
        for key in ["", "a\0b", &"x".repeat(2_000)] {
            let error =
                bank.aggregate::<Account>(key).execute(Deposit { cents: 1 }).await.unwrap_err();
            assert_eq!((error.code(), error.next_step()), (Code::MALFORMED, NextStep::FixRequest));
            assert!(error.to_string().len() < 400, "{error}");
        }
        let hostile =
            ["'; drop table events; --", "-", "a-b", "\"", "\\", "%", "é💥", " ", "\n", "\u{202e}"];
        for (cents, key) in (1..).zip(hostile) {
            bank.aggregate::<Account>(key).execute(Deposit { cents }).await.unwrap();
        }
        for (cents, key) in (1..).zip(hostile) {
            let account = bank.aggregate::<Account>(key).load(AsOf::Now).await.unwrap();
            assert_eq!(account.balance, cents, "{key:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_row_that_cannot_be_decoded_is_an_error_and_is_not_absent() {
    for store in banks() {
        let bank = store.open().await;
        let (view, worker) = (ViewName::new("balances").unwrap(), WorkerId::new("other").unwrap());
        let views = bank.views();
        views.open_view(&Balance::spec().unwrap(), Sharding::SINGLE).await.unwrap();
        let (shard, lease) = (ShardId::FIRST, Duration::ZERO);
        let claim = views.claim_shard(ShardClaim {
            view: view.clone(),
            sharding: Sharding::SINGLE,
            shard,
            worker: worker.clone(),
            mode: ClaimMode::IfFree,
            lease,
            definition: None,
        });
        let claim = claim.await.unwrap().unwrap();
        let mut commit = ViewCommit::new(view, &claim, Progress::default());
        commit.rows = vec![("alice".to_owned(), Some(br#"{"cents":"no number"}"#[..].into()))];
        views.commit_view(commit).await.unwrap();
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        let read = bank.view::<Balance>().get("alice").find().await.map(drop).unwrap_err();
        for error in [read, why_the_view_stops(&bank).await] {
            assert_eq!(
                (error.code(), error.next_step()),
                (Code::UNDECODABLE, NextStep::AskOperator)
            );
            assert!(error.to_string().contains("balances"), "{error}");
            assert!(error.to_string().contains("alice"), "{error}");
        }
        assert_eq!(bank.view::<Balance>().freshness().await.unwrap().position, Position::START);
    }
}

/// Returns the final state of a worker of the view.
async fn why_the_view_stops(bank: &Highwater) -> highwater::Error {
    let worker = Worker::new(bank).view::<Balance>().start().await.unwrap();
    let mut status = worker.status("balances").unwrap().clone();
    match status.until(ProjectionState::is_stopped).await {
        ProjectionState::Stopped { error, .. } => error,
        state => panic!("it is {state:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_no_worker_has_created_is_an_error_and_is_not_absent() {
    for store in banks() {
        let bank = store.open().await;
        let error = bank.view::<Balance>().get("alice").find().await.map(drop).unwrap_err();
        assert_eq!(
            (error.code(), error.next_step()),
            (Code::VIEW_MISSING, NextStep::Retry),
            "{error}"
        );
        assert!(error.to_string().contains("balances"), "{error}");
        let parked = ParkedKeys::of(&bank, Balance::NAME).unwrap();
        assert_eq!(parked.list(None, 9).await.unwrap_err().code(), Code::VIEW_MISSING);
        let queued = parked.queued("alice", Position::START, 9).await;
        assert_eq!(queued.unwrap_err().code(), Code::VIEW_MISSING);
        assert_eq!(parked.retry("alice").await.unwrap_err().code(), Code::VIEW_MISSING);
        // The same call answers as soon as a worker has made it.
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        worker
            .status("balances")
            .unwrap()
            .clone()
            .until(|state| matches!(state, ProjectionState::Running))
            .await;
        assert!(bank.view::<Balance>().get("alice").find().await.is_ok());
        assert!(parked.list(None, 9).await.unwrap().is_empty());
        assert!(!parked.retry("alice").await.unwrap());
        worker.stop().await.unwrap();
    }
}

/// Work that writes nothing and counts how often it is run; `None` where there can be none.
fn counting(
    bank: &Bank,
    request: Request<Withdraw>,
    runs: &Arc<AtomicUsize>,
) -> Option<Request<Withdraw>> {
    let runs = Arc::clone(runs);
    match bank {
        Bank::Memory(_) => None,
        #[cfg(feature = "sqlite")]
        Bank::Sqlite(_) => Some(request.in_transaction(stores::SqliteHook::new(move |_, _| {
            runs.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) })
        }))),
        #[cfg(feature = "postgres")]
        Bank::Postgres(_) => {
            Some(request.in_transaction(stores::PostgresHook::new(move |_, _| {
                runs.fetch_add(1, Ordering::Relaxed);
                Box::pin(async { Ok(()) })
            })))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_rejected_command_does_not_run_its_hook_and_an_accepted_one_does() {
    for store in banks() {
        let (bank, runs) = (store.open().await, Arc::default());
        let withdraw = |cents| counting(&store, Request::new(Withdraw { cents }), &runs);
        let (Some(too_much), Some(enough)) = (withdraw(9), withdraw(5)) else { continue };
        let alice = bank.aggregate::<Account>("alice");
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        assert!(alice.execute(too_much).await.unwrap_err().is_rejected());
        assert_eq!(runs.load(Ordering::Relaxed), 0);
        alice.execute(enough).await.unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }
}
