//! Views that must advance while the log is busy with other events.

use std::{sync::atomic::Ordering, time::Duration};

use highwater::{Highwater, Worker, prelude::*, projection::ParkedKeys, worker::OnFailure};
use highwater_test_support::{
    bank::{Account, Deposit, banks},
    ledger::ByCustomer,
};
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
