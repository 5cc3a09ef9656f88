//! R3: strong reads are linearizable with acknowledged commands. Histories of concurrent clients
//! are recorded, and checked key by key.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use highwater::{
    Highwater, View, Views as _, Worker, direct::DirectSource, worker::ProjectionOptions,
};
use highwater_test_support::{
    bank::{Balance, banks},
    linearizability::{Effect, HistoryClock, Operation, is_linearizable},
};

use crate::views::{Parity, deposit, work_until};

const KEYS: usize = 2;

/// Runs clients that write and read both keys concurrently.
async fn history<V: Counted>(bank: &Highwater, how: How) -> Vec<Vec<Operation>> {
    let ticks = Arc::<HistoryClock>::default();
    let clients = (0..8_u64).map(|number| {
        let (bank, ticks) = (bank.clone(), ticks.clone());
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(number);
            let mut own = vec![Vec::new(); KEYS];
            for _ in 0..40 {
                let place = random.usize(..KEYS);
                let operation = match random.bool() {
                    true => ticks.record(add::<V>(&bank, place, &mut random)).await,
                    false => ticks.record(read::<V>(&bank, V::KEYS[place], how)).await,
                };
                own[place].push(operation);
            }
            own
        })
    });
    let mut histories = vec![Vec::new(); KEYS];
    for own in join_all(clients).await {
        for (history, own) in histories.iter_mut().zip(own.unwrap()) {
            history.extend(own);
        }
    }
    histories
}

#[derive(Clone, Copy)]
enum How {
    Strong,
    Eventual,
}

/// A view whose rows count their events.
trait Counted: View {
    const KEYS: [&str; KEYS];
    /// Returns the account and the amount of an event of the key.
    fn deposit(place: usize, random: &mut fastrand::Rng) -> (String, i64);
    fn count(&self) -> u64;
}

impl Counted for Balance {
    const KEYS: [&str; KEYS] = ["a", "b"];

    fn deposit(place: usize, _: &mut fastrand::Rng) -> (String, i64) {
        (Self::KEYS[place].to_owned(), 1)
    }

    fn count(&self) -> u64 {
        self.events
    }
}

/// The events of a row come from many streams.
impl Counted for Parity {
    const KEYS: [&str; KEYS] = ["even", "odd"];

    fn deposit(place: usize, random: &mut fastrand::Rng) -> (String, i64) {
        (format!("account-{}", random.u32(..5)), 2 + place as i64)
    }

    fn count(&self) -> u64 {
        self.events
    }
}

async fn add<V: Counted>(bank: &Highwater, place: usize, random: &mut fastrand::Rng) -> Effect {
    let (account, cents) = V::deposit(place, random);
    deposit(bank, &account, cents).await;
    Effect::Add(None)
}

async fn read<V: Counted>(bank: &Highwater, key: &str, how: How) -> Effect {
    let lookup = bank.view::<V>().get(key);
    let lookup = if let How::Strong = how { lookup.strong() } else { lookup };
    let found = lookup.find().await.unwrap().into_value();
    Effect::Read(found.map_or(0, |row| row.count()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_strong_reads_are_linearizable_while_workers_join_and_leave() {
    for bank in banks() {
        linearizable::<Balance>(&bank.open().await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_strong_reads_of_rows_of_many_streams_are_linearizable() {
    for bank in banks() {
        linearizable::<Parity>(&bank.open().await).await;
    }
}

async fn linearizable<V: Counted>(bank: &Highwater) {
    work_until::<V>(bank, &deposit(bank, "first", 0).await).await;
    let working = tokio::spawn(restart_workers::<V>(bank.clone()));
    for history in history::<V>(bank, How::Strong).await {
        assert!(is_linearizable(&history), "{history:#?}");
    }
    working.abort();
    let _ = working.await;
}

async fn restart_workers<V: View>(bank: Highwater) {
    let lease = Duration::from_millis(100);
    loop {
        let worker = Worker::new(&bank).fed_by(DirectSource::new(&bank).lease(lease));
        let worker =
            worker.view_with::<V>(ProjectionOptions::default().shards(3)).start().await.unwrap();
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..200))).await;
        drop(worker);
    }
}

/// Checks the checker: it rejects the results of eventual reads while no worker feeds the view.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_the_checker_finds_reads_that_are_stale() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "first", 1).await).await;
        let histories = history::<Balance>(&bank, How::Eventual).await;
        assert!(!histories.iter().all(|history| is_linearizable(history)));
    }
}
