//! R2, R3, W5: the statements that reads and rejections take, counted in the log of the driver. A separate program, because
//! the log is global.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use highwater_test_support::bank::{Account, Balance, Bank, Deposit, Withdraw, banks};

use futures_util::future::join_all;
use highwater::{
    Highwater, Receipt, Views as _, Worker,
    consistency::Fallback,
    port::Clock,
    stores::SystemClock,
    value::Timestamp,
    worker::{ProjectionOptions, WorkerHandle},
};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    task::JoinHandle,
};

/// Counts lines of the log that are about a statement.
#[derive(Clone, Default)]
struct Statements(Arc<AtomicUsize>);

impl Statements {
    /// Returns the number of statements that an operation takes. Other work of the process (a stopped worker still
    /// ends its last read) can add some, so the least of several runs counts.
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

/// Counts the statements of this process, for one test at a time: those of other tests would be counted, too.
async fn statements() -> MutexGuard<'static, Statements> {
    static STATEMENTS: LazyLock<Mutex<Statements>> = LazyLock::new(|| {
        let statements = Statements::default();
        let writer = statements.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
            .with_writer(move || writer.clone())
            .init();
        Mutex::new(statements)
    });
    STATEMENTS.lock().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_r3_a_current_read_takes_one_statement_at_every_level() {
    let statements = statements().await;
    for store in banks() {
        let expected = usize::from(!matches!(store, Bank::Memory(_)));
        let bank = store.open().await;
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
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

/// A rejection on a cached state takes a look at the stream. One on a state that was loaded for it takes no more than that: the
/// snapshot and the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w5_a_rejection_takes_one_statement_and_one_on_a_cold_cache_only_those_of_the_load() {
    let statements = statements().await;
    for store in banks() {
        let one = usize::from(!matches!(store, Bank::Memory(_)));
        let bank = store.open().await;
        deposit(&bank).await;
        let reject = |key: String| {
            let account = bank.aggregate::<Account>(key);
            async move { account.execute(Withdraw { cents: 99 }).await.unwrap_err() }
        };
        let cost = statements.cost_of(|| reject("alice".to_owned())).await;
        assert_eq!(cost, one);
        let number = AtomicUsize::new(0);
        let cold = || reject(format!("cold-{}", number.fetch_add(1, Ordering::SeqCst)));
        assert_eq!(statements.cost_of(cold).await, 2 * one);
    }
}

const WAITERS: usize = 10_000;
/// The number of concurrent readers.
const AT_ONCE: usize = 500;
/// The most statements of ten thousand waiters and of the worker that they wait for, from when all of them wait until
/// all are answered. Each of the three shards may advance by itself, and the keys of each are twenty chunks.
const FEW: usize = 400;
/// The most bytes that one waiter may take.
const BYTES: usize = 16 << 10;

/// Measures ten thousand waiters: statements as the driver logs them, connections as the server sees them, memory as
/// the system counts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_ten_thousand_waiters_cost_few_statements_one_listening_connection_and_little_memory() {
    let (statements, memory) = (statements().await, resident());
    for store in banks() {
        let bank = store.open().await;
        let receipt = deposit_behind_a_view(&bank).await;
        let waiting = all_wait(&bank, |n| {
            bank.view::<Balance>().get(key(n)).after(&receipt).within(LONG).find()
        });
        let waiting = waiting.await;
        let all_wait = statements.0.load(Ordering::SeqCst);
        let took = resident().saturating_sub(memory);
        assert!(took <= WAITERS * BYTES, "{took} bytes");
        let listening = listening(&store).await;
        let worker = work(&bank).await;
        for found in join_all(waiting).await {
            assert!(found.unwrap().unwrap().freshness().position >= receipt.position());
        }
        let cost = statements.0.load(Ordering::SeqCst) - all_wait;
        worker.stop().await.unwrap();
        println!("{cost} statements, {listening:?} listen, {took} bytes for {WAITERS} waiters");
        assert!(cost <= FEW, "{cost} statements for {WAITERS} waiters");
        assert!(listening.is_none_or(|count| count == 1), "{listening:?}");
    }
}

/// Ten thousand readers wait for a few ranges: one query per range answers all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_ten_thousand_waiters_for_a_few_ranges_cost_few_statements() {
    let statements = statements().await;
    for store in banks() {
        let bank = store.open().await;
        let receipt = deposit_behind_a_view(&bank).await;
        let waiting = all_wait(&bank, |n| {
            let range = bank.view::<Balance>().range(["", "a", "b"][n % 3].., 1 + n % 2);
            range.after(&receipt).within(LONG).into_future()
        });
        let waiting = waiting.await;
        let all_wait = statements.0.load(Ordering::SeqCst);
        let worker = work(&bank).await;
        for (n, found) in join_all(waiting).await.into_iter().enumerate() {
            let page = found.unwrap().unwrap();
            assert!(page.freshness().position >= receipt.position());
            assert_eq!(page.get("alice").map(|row| row.cents), (n % 3 < 2).then_some(2));
        }
        let cost = statements.0.load(Ordering::SeqCst) - all_wait;
        worker.stop().await.unwrap();
        println!("{cost} statements for {WAITERS} waiters on six ranges");
        assert!(cost <= FEW, "{cost} statements for {WAITERS} waiters");
    }
}

/// Ten thousand waits time out at the same moment, and their readers take the present rows: they are answered
/// together. The machine decides how many of them form a batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_ten_thousand_waiters_whose_budgets_end_together_cost_few_statements() {
    let statements = statements().await;
    for store in banks() {
        let bank = store.open().await;
        let receipt = deposit_behind_a_view(&bank).await;
        let clock = Budgets::default();
        let bank = store.builder().await.clock(clock.clone()).build();
        let waiting = all_wait(&bank, |n| {
            let lookup = bank.view::<Balance>().get(key(n)).after(&receipt);
            lookup.or(Fallback::ServeStale).find()
        });
        let pages = all_wait(&bank, |n| {
            let range = bank.view::<Balance>().range(["", "a", "b"][n % 3].., 1 + n % 2);
            range.after(&receipt).or(Fallback::ServeStale).into_future()
        });
        let (waiting, pages) = (waiting.await, pages.await);
        let all_wait = statements.0.load(Ordering::SeqCst);
        let over = clock.now();
        clock.end();
        for (n, found) in join_all(waiting).await.into_iter().enumerate() {
            let row = found.unwrap().unwrap();
            assert_eq!(row.as_ref().map(|row| row.cents), (n % 2 == 0).then_some(1));
            assert!(row.is_stale() && row.freshness().position < receipt.position());
            assert!(row.freshness().read_at >= over, "what there is now, and not what there was");
        }
        for (n, found) in join_all(pages).await.into_iter().enumerate() {
            let page = found.unwrap().unwrap();
            assert_eq!(page.get("alice").map(|row| row.cents), (n % 3 < 2).then_some(1));
            assert!(page.is_stale() && page.freshness().read_at >= over);
        }
        let cost = statements.0.load(Ordering::SeqCst) - all_wait;
        println!("{cost} statements for {WAITERS} keys and as many ranges whose budgets are over");
        assert!(cost <= WAITERS / 10, "{cost} statements");
    }
}

/// A clock that ends all waits at the same moment.
#[derive(Clone, Default)]
struct Budgets(Arc<watch::Sender<bool>>);

impl Budgets {
    fn end(&self) {
        self.0.send_replace(true);
    }
}

#[async_trait]
impl Clock for Budgets {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    async fn sleep(&self, _: Duration) {
        let _ = self.0.subscribe().wait_for(|is_over| *is_over).await;
    }
}

/// Returns a view whose row lacks the last deposit, and the receipt of that deposit.
async fn deposit_behind_a_view(bank: &Highwater) -> Receipt {
    let worker = work(bank).await;
    let first = deposit(bank).await;
    bank.view::<Balance>().range("".., 1).after(&first).await.unwrap();
    worker.stop().await.unwrap();
    deposit(bank).await
}

async fn work(bank: &Highwater) -> WorkerHandle {
    Worker::new(bank)
        .view_with::<Balance>(ProjectionOptions::default().shards(3))
        .start()
        .await
        .unwrap()
}

/// Returns the keys; half of them have a row.
fn key(n: usize) -> String {
    if n.is_multiple_of(2) { "alice".to_owned() } else { format!("none-{n}") }
}

/// Waits until every reader has sent its request and is waiting.
async fn all_wait<F>(bank: &Highwater, ask: impl Fn(usize) -> F) -> Vec<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut waiting = Vec::new();
    while waiting.len() < WAITERS {
        for _ in 0..AT_ONCE {
            waiting.push(tokio::spawn(asked(ask(waiting.len())).await));
        }
        // A later request is answered after all of them, except those that are in flight with it.
        bank.view::<Balance>().get("alice").await.unwrap();
    }
    waiting
}

/// Polls a future until it has to wait for another task.
async fn asked<F: Future + Send + 'static>(work: F) -> Pin<Box<F>> {
    let mut work = Box::pin(work);
    poll_fn(|context| {
        assert!(work.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    work
}

const LONG: Duration = Duration::from_secs(300);

/// Returns the resident memory of this process in bytes; 0 where the system does not report it.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kilobytes.unwrap_or_default() << 10
}

/// Returns the number of listening connections of this store, if it has any.
async fn listening(store: &Bank) -> Option<i64> {
    let Bank::Postgres(url) = store else { return None };
    let schema = url.split("schema=").nth(1)?.split('&').next()?;
    let server = url.split('?').next()?;
    let mut connection = PgConnection::connect(server).await.unwrap();
    let counting = "select count(*) from pg_stat_activity \
                    where query ilike 'listen%' and position($1 in query) > 0";
    Some(sqlx::query_scalar(counting).bind(schema).fetch_one(&mut connection).await.unwrap())
}
