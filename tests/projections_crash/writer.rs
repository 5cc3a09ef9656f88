//! Tasks that append while faults are injected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater::{CommandId, Highwater, Request};
use highwater_test_support::ledger::{Close, Ledger, Move};
use tokio::{runtime::Handle, task::JoinHandle};

/// The number of keys of each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyspace {
    pub(crate) accounts: u32,
    pub(crate) customers: u32,
    pub(crate) partners: u32,
}

impl Keyspace {
    pub(crate) fn accounts(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.accounts).map(|number| format!("a{number}"))
    }

    pub(crate) fn customers(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.customers).map(|number| format!("c{number}"))
    }

    pub(crate) fn partners(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.partners).map(|number| format!("p{number}"))
    }

    /// Returns enough keys that a row, which records its events, stays short.
    pub(crate) fn for_events(events: u32) -> Self {
        let keys = |share: u32| (events / share).max(50);
        Self { accounts: keys(10), customers: keys(15), partners: keys(25) }
    }
}

/// The running writers. Their operations follow from the seed, but not their interleaving.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

/// The load of the writers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteLoad {
    pub(crate) tasks: u64,
    /// The number of events of each append.
    pub(crate) batch: usize,
    /// The pause of each task between appends.
    pub(crate) rest: Duration,
}

pub(crate) fn start(
    runtime: &Handle,
    bank: &Highwater,
    seed: u64,
    keys: Keyspace,
    load: WriteLoad,
) -> Writers {
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let task = |number| {
        let mut writer = Writer {
            bank: bank.clone(),
            random: fastrand::Rng::with_seed(seed ^ number),
            command: CommandId::derive([seed, number].map(u64::to_be_bytes)),
            keys,
        };
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        runtime.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                writer.append(load.batch).await;
                written.fetch_add(load.batch as u64, Ordering::Relaxed);
                tokio::time::sleep(load.rest).await;
            }
        })
    };
    let tasks = (0..load.tasks).map(task).collect();
    Writers { stop, written, tasks }
}

impl Writers {
    /// The number of events that have been written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Stops the writers after their current appends, and returns the number of events.
    pub(crate) async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.written.load(Ordering::Relaxed)
    }
}

struct Writer {
    bank: Highwater,
    random: fastrand::Rng,
    command: CommandId,
    keys: Keyspace,
}

impl Writer {
    /// Appends once, and retries the same command until it is acknowledged (W4).
    async fn append(&mut self, events: usize) {
        self.command = CommandId::derive([self.command.as_uuid().as_bytes()]);
        let steps: Vec<(String, Option<Move>)> = (0..events).map(|_| self.step()).collect();
        loop {
            let all = steps.iter().cloned().fold(self.bank.atomically(), |all, step| match step {
                (account, Some(step)) => all.on::<Ledger, _>(account, step),
                (account, None) => all.on::<Ledger, _>(account, Close),
            });
            match all.execute_as(Request::new(()).id(self.command)).await {
                Ok(_) => return,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns a movement on an account, or `None` to close it.
    fn step(&mut self) -> (String, Option<Move>) {
        let account = format!("a{}", self.random.u32(..self.keys.accounts));
        if self.random.u32(..20) == 0 {
            return (account, None);
        }
        let customer = format!("c{}", self.random.u32(..self.keys.customers));
        let mut partner = || format!("p{}", self.random.u32(..self.keys.partners));
        let partners = vec![partner(), partner()];
        (account, Some(Move { customer, partners, cents: self.random.i64(-50..50) }))
    }
}
