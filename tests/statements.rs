//! R2, R3: what reads cost in statements, as the driver logs them. A program of its own, because the log is one for all.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bank;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bank::{Account, Balance, Bank, Deposit, banks};
use highwater::{Highwater, Receipt, Views as _, Worker};

/// Counts lines of the log that are about a statement.
#[derive(Clone, Default)]
struct Statements(Arc<AtomicUsize>);

impl Statements {
    /// How many statements something takes. What else is going on in the process (a worker that has been stopped
    /// lets its last read come to its end) can add some, so the least of several times counts.
    async fn cost_of<F: Future>(&self, work: impl Fn() -> F) -> usize {
        let mut least = usize::MAX;
        for _ in 0..10 {
            let before = self.0.load(Ordering::SeqCst);
            work().await;
            least = least.min(self.0.load(Ordering::SeqCst) - before);
        }
        least
    }
}

impl io::Write for Statements {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if text.contains("sqlx::query") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn deposit(bank: &Highwater) -> Receipt {
    bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_r3_a_read_that_is_current_is_one_statement_whatever_its_level() {
    let statements = Statements::default();
    let writer = statements.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(move || writer.clone())
        .init();
    for store in banks() {
        let expected = usize::from(!matches!(store, Bank::Memory(_)));
        let bank = store.open().await;
        let worker = Worker::on(&bank).view::<Balance>().start().await.unwrap();
        let receipt = deposit(&bank).await;
        bank.view::<Balance>().get("alice").after(&receipt).await.unwrap();
        worker.stop().await.unwrap();
        let alice = || bank.view::<Balance>().get("alice");
        let bound = Duration::from_secs(1);
        for read in [alice(), alice().after(&receipt), alice().bounded(bound), alice().strong()] {
            let cost = statements.cost_of(|| async { read.clone().await.unwrap() }).await;
            assert_eq!(cost, expected);
        }
        let many = || bank.view::<Balance>().get_many(["alice", "bob"]).strong();
        let cost = statements.cost_of(|| async { assert_eq!(many().await.unwrap().len(), 1) });
        assert_eq!(cost.await, expected);
        let range = || bank.view::<Balance>().range("a".., 10).strong();
        let cost = statements.cost_of(|| async { assert_eq!(range().await.unwrap().len(), 1) });
        assert_eq!(cost.await, expected);
    }
}
