//! W4: after an append whose outcome is not known, a command ends in that outcome unless the store has settled it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use highwater::{
    Error, Highwater, Result, StreamId, Version,
    error::{Corrupt, Invalid, NextStep, Panicked, Source, Unavailable},
    port::{Append, AppendFuture, ReadFrom, Store, StreamPage},
    prelude::*,
};
use highwater_test_support::bank::{Account, Bank, Deposit, Withdraw, banks};

use crate::intercept::{self, Intercept};

/// A store that loses the answers to its next appends, and then fails in its next read.
struct Broken {
    store: Arc<dyn Store>,
    lost: Mutex<usize>,
    failures: Mutex<VecDeque<Error>>,
}

#[async_trait]
impl Intercept for Broken {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn append(&self, append: Append) -> AppendFuture {
        let command = append.command;
        let mut lost = self.lost.lock().unwrap();
        let is_lost = *lost > 0;
        *lost = lost.saturating_sub(1);
        let answer = self.store.append(append);
        async move {
            let answer = answer.await;
            let source = Source::new("connection reset");
            if is_lost { Err(Error::UnknownOutcome { command, source }) } else { answer }
        }
        .boxed()
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        let failure = self.failures.lock().unwrap().pop_front();
        match failure {
            Some(error) => Err(error),
            None => self.store.read_stream(stream, from, limit).await,
        }
    }
}

async fn broken(bank: &Bank) -> (Highwater, Arc<Broken>) {
    let store = bank.store().await;
    let broken = Broken { store, lost: Mutex::default(), failures: Mutex::default() };
    let broken = Arc::new(broken);
    (intercept::on(&broken).build(), broken)
}

/// Errors that say nothing about the append before.
fn errors() -> [Error; 4] {
    let gone = Source::new("connection refused");
    [
        Unavailable::unreachable("reading a stream", gone).into(),
        Corrupt::Log("stream account-alice has version 9 after version 7".to_owned()).into(),
        Panicked::new("apply of event account.deposited", &"no number for this").into(),
        Invalid::request("the request is wrong").into(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_an_error_of_a_retry_does_not_hide_that_the_outcome_is_unknown() {
    for bank in banks() {
        for (number, error) in errors().into_iter().enumerate() {
            let (here, broken) = broken(&bank).await;
            let account = here.aggregate::<Account>(number);
            account.execute(Deposit { cents: 1 }).await.unwrap();
            let id = CommandId::derive(["unknown", &number.to_string()]);
            let request = || Request::new(Deposit { cents: 1 }).id(id);
            *broken.lost.lock().unwrap() = 1;
            broken.failures.lock().unwrap().push_back(error.clone());
            let unknown = account.execute(request()).await.unwrap_err();
            assert_eq!(unknown.next_step(), NextStep::RetrySameId, "{unknown}");
            let Error::UnknownOutcome { command, .. } = &unknown else { panic!("{unknown}") };
            assert_eq!(*command, id);
            let text = unknown.to_string();
            for part in ["connection reset", "tried again", &error.to_string()] {
                assert!(text.contains(part), "no {part:?} in: {text}");
            }
            let receipt = account.execute(request()).await.unwrap();
            assert_eq!(receipt.versions().next().unwrap().1, Version::new(2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_a_rejection_after_an_unknown_outcome_says_that_nothing_is_stored() {
    for bank in banks() {
        let (here, broken) = broken(&bank).await;
        let account = here.aggregate::<Account>("alice");
        account.execute(Deposit { cents: 1 }).await.unwrap();
        let there = bank.open().await;
        there.aggregate::<Account>("alice").execute(Withdraw { cents: 1 }).await.unwrap();
        // The append fails for its expectation, unseen.
        *broken.lost.lock().unwrap() = 1;
        let rejected = account.execute(Withdraw { cents: 1 }).await.unwrap_err();
        assert!(rejected.is_rejected(), "{rejected}");
    }
}
