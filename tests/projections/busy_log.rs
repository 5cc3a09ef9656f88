//! Views that must advance while the log is busy with other events.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use highwater::{
    Highwater, View, Worker,
    domain::{FoldError, FoldResult, Keys},
    prelude::*,
    projection::ParkedKeys,
    stores::{self, MemoryStore},
    worker::{OnFailure, ProjectionOptions},
};
use highwater_test_support::{
    bank::{Account, Deposit, banks},
    ledger::{ByCustomer, LedgerEvent},
};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use crate::parking::{BUSY_BROKEN, Busy, move_money, until_drained, work};

/// Tasks that deposit on other accounts without a pause, until this value is dropped.
struct Traffic(Vec<AbortHandle>);

impl Traffic {
    fn on(bank: &Highwater) -> Self {
        let member = |number: usize| {
            let bank = bank.clone();
            let task = tokio::spawn(async move {
                loop {
                    let account = bank.aggregate::<Account>(format!("crowd{number}"));
                    account.execute(Deposit { cents: 1 }).await.unwrap();
                    // The memory store never suspends its caller, so other tasks need a chance to
                    // run.
                    tokio::task::yield_now().await;
                }
            });
            task.abort_handle()
        };
        Self((0..2).map(member).collect())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_view_advances_while_the_log_is_busy_with_other_events() {
    for store in banks() {
        let bank = store.open().await;
        let worker = Worker::new(&bank).view::<ByCustomer>().start().await.unwrap();
        let traffic = Traffic::on(&bank);
        for _ in 0..5 {
            let receipt = bank.aggregate::<Account>("own").execute(Deposit { cents: 1 }).await;
            let lookup = bank.view::<ByCustomer>().get("any").after(receipt.unwrap());
            assert!(lookup.within(Duration::from_secs(20)).find().await.unwrap().is_none());
        }
        drop(traffic);
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_parked_key_is_retried_while_other_events_keep_coming() {
    for store in banks() {
        BUSY_BROKEN.store(true, Ordering::Relaxed);
        let bank = store.open().await;
        let worker = work::<Busy>(&bank, OnFailure::Park { at_most: 1 }).await;
        move_money(&bank, "bob", &[], 666).await;
        let parked = ParkedKeys::of(&bank, "picky").unwrap();
        let traffic = Traffic::on(&bank);
        while parked.list(None, 1).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        BUSY_BROKEN.store(false, Ordering::Relaxed);
        assert!(parked.retry("bob").await.unwrap());
        until_drained(&parked).await;
        drop(traffic);
        worker.stop().await.unwrap();
    }
}

/// True while the first event of `bob` can't be applied.
static GATED_BROKEN: AtomicBool = AtomicBool::new(true);
/// True once its retry has begun, and once the retry may go on.
static GATE_REACHED: AtomicBool = AtomicBool::new(false);
static GATE_OPEN: AtomicBool = AtomicBool::new(false);
/// The keys of the folds, in their order.
static FOLDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Gated(u64);

impl View for Gated {
    type Event = LedgerEvent;
    const NAME: &'static str = "gated";

    fn keys(_: &LedgerEvent, envelope: &Envelope, keys: &mut Keys) {
        keys.push(envelope.stream.key());
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the ban keeps the library free of blocking; this fold blocks on purpose"
    )]
    fn fold(&mut self, _: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
        if at.position.get() == 1 {
            if GATED_BROKEN.load(Ordering::SeqCst) {
                return Err(FoldError::new("broken"));
            }
            GATE_REACHED.store(true, Ordering::SeqCst);
            // The runtime goes on with its timers and its other tasks.
            tokio::task::block_in_place(|| {
                while !GATE_OPEN.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            });
        }
        self.0 += 1;
        FOLDED.lock().unwrap().push(at.key.to_owned());
        Ok(RowChange::Keep)
    }
}

async fn until(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_other_keys_go_on_while_the_many_events_of_a_parked_key_are_applied() {
    const WAITING: usize = 1_000;
    let bank = stores::on(MemoryStore::default()).build();
    let options = ProjectionOptions::default().on_failure(OnFailure::Park { at_most: 1 });
    let worker = Worker::new(&bank).view_with::<Gated>(options).start().await.unwrap();
    for _ in 0..WAITING {
        move_money(&bank, "bob", &[], 1).await;
    }
    let parked = ParkedKeys::of(&bank, "gated").unwrap();
    while parked.list(None, 1).await.unwrap().first().is_none_or(|key| key.queued < 1_000) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    GATED_BROKEN.store(false, Ordering::SeqCst);
    assert!(parked.retry("bob").await.unwrap());
    until(&GATE_REACHED).await;
    move_money(&bank, "ann", &[], 1).await;
    GATE_OPEN.store(true, Ordering::SeqCst);
    until_drained(&parked).await;
    let folded = FOLDED.lock().unwrap().clone();
    let ann = folded.iter().position(|key| key == "ann").unwrap();
    assert!(ann < WAITING, "ann waited for all of bob's events");
    assert_eq!(folded.len(), WAITING + 1);
    worker.stop().await.unwrap();
}
