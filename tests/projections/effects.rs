//! Sinks and handlers: delivery at least once, in order, with an id to recognise a repeat.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use highwater::{
    Code, Highwater, Result, Token, Views as _, Worker,
    error::{Source, Unavailable},
    projection::{Handler, ReceivedEvent, Sink},
    worker::{ProjectionOptions, ProjectionState},
};
use highwater_test_support::{
    bank::banks,
    ledger::{ByAccount, Ledger, LedgerEvent, Move},
};

async fn move_money(bank: &Highwater, account: &str, cents: i64) {
    let step = Move { customer: "c".to_owned(), partners: Vec::new(), cents };
    bank.aggregate::<Ledger>(account).execute(step).await.unwrap();
}

/// A search engine, for example: it stores the last position by account, and ignores repeated
/// events.
#[derive(Clone, Default)]
struct Search {
    documents: Arc<Mutex<BTreeMap<String, (u64, i64)>>>,
    failures: Arc<Mutex<u32>>,
}

impl Sink for Search {
    type Event = LedgerEvent;
    const NAME: &'static str = "search";
    const BY_STREAM: bool = true;

    async fn put(&self, events: &[ReceivedEvent<LedgerEvent>]) -> Result<()> {
        {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(Unavailable::unreachable("searching", Source::new("down")).into());
            }
        }
        let mut documents = self.documents.lock().unwrap();
        for received in events {
            let LedgerEvent::Moved { cents, .. } = &received.event else { continue };
            let (account, position) = (received.envelope.stream.key(), received.envelope.position);
            let document = documents.entry(account.to_owned()).or_default();
            if position.get() > document.0 {
                *document = (position.get(), document.1 + cents);
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sink_receives_every_event_despite_outages_that_it_reports() {
    for store in banks() {
        let bank = store.open().await;
        let search = Search::default();
        *search.failures.lock().unwrap() = 3;
        for number in 0..30 {
            move_money(&bank, ["x", "y", "z"][number % 3], 1).await;
        }
        let options = ProjectionOptions::default().shards(3);
        let worker = Worker::new(&bank).sink(search.clone(), options).start().await.unwrap();
        let mut status = worker.status("search").unwrap().clone();
        status.until(|state| matches!(state, ProjectionState::Retrying { .. })).await;
        while search.documents.lock().unwrap().values().map(|(_, cents)| cents).sum::<i64>() < 30 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let documents = search.documents.lock().unwrap().clone();
        assert_eq!(documents.values().map(|(_, cents)| *cents).collect::<Vec<_>>(), [10, 10, 10]);
        worker.stop().await.unwrap();
    }
}

#[derive(Clone, Default)]
struct Mails(Arc<Mutex<BTreeMap<String, i64>>>);

impl Handler for Mails {
    type Event = LedgerEvent;
    const NAME: &'static str = "mails";

    async fn handle(&self, received: &ReceivedEvent<LedgerEvent>, once: &str) -> Result<()> {
        if let LedgerEvent::Moved { cents, .. } = &received.event {
            // Delivery is at least once, and the id identifies a repeat.
            self.0.lock().unwrap().insert(once.to_owned(), *cents);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_skips_the_history_and_resumes_after_its_last_event() {
    for store in banks() {
        let bank = store.open().await;
        let mails = Mails::default();
        let start =
            || Worker::new(&bank).handler(mails.clone(), ProjectionOptions::default()).start();
        move_money(&bank, "x", 1).await;
        let worker = start().await.unwrap();
        let mut status = worker.status("mails").unwrap().clone();
        status.until(|state| matches!(state, ProjectionState::Running)).await;
        move_money(&bank, "x", 2).await;
        until_sent(&mails, 1).await;
        worker.stop().await.unwrap();
        move_money(&bank, "y", 3).await;
        let worker = start().await.unwrap();
        until_sent(&mails, 2).await;
        worker.stop().await.unwrap();
        let sent = mails.0.lock().unwrap().clone();
        let mut cents: Vec<i64> = sent.values().copied().collect();
        cents.sort_unstable();
        assert_eq!(cents, [2, 3]);
        assert!(sent.keys().all(|once| once.starts_with("mails:")), "{sent:?}");
    }
}

/// A handler that mails statements of an account, which it reads from a view.
struct Statements {
    bank: Highwater,
    mails: Mails,
}

impl Handler for Statements {
    type Event = LedgerEvent;
    const NAME: &'static str = "statements";

    async fn handle(&self, received: &ReceivedEvent<LedgerEvent>, once: &str) -> Result<()> {
        let account = self.bank.view::<ByAccount>().get(received.envelope.stream.key());
        account.after(Token::at(received.envelope.position)).find().await?;
        self.mails.handle(received, once).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_reads_a_view_waits_until_that_exists() {
    for store in banks() {
        let bank = store.open().await;
        let mails = Mails::default();
        let statements = Statements { bank: bank.clone(), mails: mails.clone() };
        let handling = Worker::new(&bank).handler(statements, ProjectionOptions::default());
        let handling = handling.start().await.unwrap();
        let mut status = handling.status("statements").unwrap().clone();
        status.until(|state| matches!(state, ProjectionState::Running)).await;
        move_money(&bank, "x", 1).await;
        let waits = |state: &ProjectionState| {
            let error = state.error().map(highwater::Error::code);
            matches!(state, ProjectionState::Retrying { .. }) && error == Some(Code::VIEW_MISSING)
        };
        status.until(waits).await;
        let viewing = Worker::new(&bank).view::<ByAccount>().start().await.unwrap();
        until_sent(&mails, 1).await;
        viewing.stop().await.unwrap();
        handling.stop().await.unwrap();
    }
}

async fn until_sent(mails: &Mails, count: usize) {
    while mails.0.lock().unwrap().len() < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
