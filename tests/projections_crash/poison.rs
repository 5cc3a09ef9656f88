//! R4 with one poison event among ten thousand keys, while workers are killed.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use highwater::{
    CommandId, Highwater, Open as _, Position, Query, View,
    domain::{FoldError, FoldResult, Keys},
    port::{ParkedKey, ReadFrom},
    prelude::*,
    projection::ParkedKeys,
};
use highwater_test_support::{
    fleet::Fleet,
    ledger::{Ledger, LedgerEvent, Move, Trace},
    postgres::PostgresCluster,
    run::seed,
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::{
    checker,
    direct_feed::FAULTS,
    findings::{Finding, Journal},
    worker_process::{Orders, Task},
};

const KEYS: u32 = 10_000;
const POISONED: &str = "c4711";
const POISON: i64 = 666;

/// One row for each customer. The fold fails on 666 cents until it is fixed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Picky(Trace);

static FIXED: AtomicBool = AtomicBool::new(false);

impl Picky {
    pub(crate) fn fixed(fixed: bool) {
        FIXED.store(fixed, Ordering::Relaxed);
    }
}

impl View for Picky {
    type Event = LedgerEvent;
    const NAME: &'static str = "picky";

    fn keys(event: &LedgerEvent, _: &Envelope, keys: &mut Keys) {
        if let LedgerEvent::Moved { customer, .. } = event {
            keys.push(customer.as_str());
        }
    }

    fn fold(&mut self, event: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
        if let LedgerEvent::Moved { cents, .. } = event {
            if *cents == POISON && !FIXED.load(Ordering::Relaxed) {
                return Err(FoldError::new("the number of the beast"));
            }
            self.0.see(at.position.get(), *cents);
        }
        Ok(RowChange::Keep)
    }
}

impl Journal for Picky {
    fn seen(&self) -> &[u64] {
        &self.0.seen
    }
}

/// Folds the rows from the log, of the events that `counts` selects by customer and position. Returns them with the end of
/// the log.
async fn folded(
    bank: &Highwater,
    counts: impl Fn(&str, u64) -> bool,
) -> (BTreeMap<String, Picky>, u64) {
    let (mut rows, mut after) = (BTreeMap::<String, Picky>::new(), Position::START);
    loop {
        let page = bank.log().read_log(&Query::all(), ReadFrom::After(after), 1_000).await.unwrap();
        for envelope in &page.events {
            for event in envelope.decode::<LedgerEvent>().unwrap() {
                let LedgerEvent::Moved { customer, cents, .. } = event else { continue };
                if counts(&customer, envelope.position.get()) {
                    rows.entry(customer).or_default().0.see(envelope.position.get(), cents);
                }
            }
        }
        after = page.through;
        if !page.more {
            return (rows, after.get());
        }
    }
}

/// Executes a movement of each customer in random order, and several movements of the poisoned one.
async fn every_customer_moves(bank: &Highwater, random: &mut fastrand::Rng, round: u64) {
    let mut customers: Vec<String> = (0..KEYS).map(|number| format!("c{number}")).collect();
    random.shuffle(&mut customers);
    for place in 0..10 {
        customers.insert(place * 1_000, POISONED.to_owned());
    }
    let moves = customers.into_iter().enumerate().map(|(place, customer)| {
        let id = CommandId::derive([round, place as u64, random.u64(..)].map(u64::to_be_bytes));
        let cents = if place == 2_000 { POISON } else { place as i64 % 600 };
        (id, Move { customer, partners: Vec::new(), cents })
    });
    let written = moves.map(|(id, step)| async move {
        let account = bank.aggregate::<Ledger>(&step.customer);
        account.execute(Request::new(step).id(id)).await.unwrap();
    });
    stream::iter(written).buffer_unordered(16).collect::<()>().await;
}

async fn the_parked_key(bank: &Highwater) -> ParkedKey {
    let mut parked = ParkedKeys::of(bank, Picky::NAME).unwrap().list(None, 10).await.unwrap();
    assert_eq!(parked.len(), 1, "{parked:?}");
    parked.remove(0)
}

/// Asserts that all other keys are current, and that the parked key has the events before the
/// poison event and queues the rest.
async fn all_but_one_are_current(bank: &Highwater) {
    let (all, head) = folded(bank, |_, _| true).await;
    let behind =
        checker::behind(&**bank.views(), Picky::NAME, head, checker::CATCH_UP_TIMEOUT).await;
    checker::assert_no_findings(&behind);
    let parked = the_parked_key(bank).await;
    assert_eq!(parked.key, POISONED);
    let since = parked.since.get();
    let (right, _) = folded(bank, |key, at| key != POISONED || at < since).await;
    checker::assert_no_findings(&findings_of(bank, &right).await);
    let queue = ParkedKeys::of(bank, Picky::NAME).unwrap();
    let waiting = queue.queued(POISONED, Position::START, 1_000).await.unwrap();
    let waiting: Vec<u64> = waiting.into_iter().map(Position::get).collect();
    let seen = all[POISONED].seen().iter().copied();
    let later: Vec<u64> = seen.filter(|at| *at >= since).collect();
    assert_eq!(waiting, later, "all later events are queued in order");
    println!("{head} events, {} of them queued since {since}", waiting.len());
}

async fn findings_of(bank: &Highwater, right: &BTreeMap<String, Picky>) -> Vec<Finding> {
    checker::view(&**bank.views(), right, [POISONED.to_owned()].into_iter()).await
}

async fn drained(bank: &Highwater) {
    let parked = ParkedKeys::of(bank, Picky::NAME).unwrap();
    let drained = async {
        while !parked.list(None, 1).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(checker::CATCH_UP_TIMEOUT, drained).await.expect("the key stays parked");
    let (all, _) = folded(bank, |_, _| true).await;
    checker::assert_no_findings(&findings_of(bank, &all).await);
}

#[test]
fn r4_postgres_events_of_one_key_of_ten_thousand_wait_in_order_over_kills_and_are_drained_after_the_fix()
 {
    let Some(cluster) = PostgresCluster::start(
        "r4_postgres_events_of_one_key_of_ten_thousand_wait_in_order_over_kills_and_are_drained_after_the_fix",
    ) else {
        return;
    };
    let (url, seed) = (cluster.url(), seed());
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = Runtime::new().unwrap();
    let bank = runtime.block_on(Highwater::open(&url)).unwrap();
    let orders = |task| Orders::direct(task, &url, 4);
    let mut fleet = Fleet::start(orders(Task::Broken), 3, FAULTS, seed);
    let writer = bank.clone();
    let writing = runtime.spawn(async move {
        for round in 0..2 {
            every_customer_moves(&writer, &mut random, round).await;
        }
    });
    while !writing.is_finished() {
        fleet.inject_faults_for(Duration::from_secs(1));
    }
    fleet.wait_until_thawed();
    runtime.block_on(writing).unwrap();
    runtime.block_on(all_but_one_are_current(&bank));

    // Workers are killed during the drain as well.
    fleet.replace(orders(Task::Fixed));
    let parked = ParkedKeys::of(&bank, Picky::NAME).unwrap();
    assert!(runtime.block_on(parked.retry(POISONED)).unwrap());
    fleet.inject_faults_for(Duration::from_secs(3));
    fleet.wait_until_thawed();
    runtime.block_on(drained(&bank));
    println!("{:?}", fleet.shut_down());
}
