//! R1 for projections that write to tables of the application: their writes and the progress are
//! one transaction.
#![cfg(all(feature = "postgres", feature = "sqlite"))]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use highwater::{
    Highwater, Worker,
    direct::DirectSource,
    domain::TransactionHook,
    port::ParkedKey,
    projection::{ParkedKeys, Projection, ReceivedEvent},
    stores::{
        HookError, PostgresHook, SqliteHook,
        sqlx::{self, AssertSqlSafe, Connection as _},
    },
    worker::{Backoff, OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{
    bank::{Bank, banks},
    ledger::{Ledger, LedgerEvent, Move, step},
};

/// A projection that inserts a line for each movement, and updates a sum. A repeat of either write
/// is noticed.
#[derive(Clone)]
struct Journal {
    bank: Bank,
    table: String,
    broken: Arc<AtomicBool>,
}

impl Projection for Journal {
    type Event = LedgerEvent;
    const NAME: &'static str = "journal";
    const BY_STREAM: bool = true;

    fn writes(&self, events: Vec<ReceivedEvent<LedgerEvent>>) -> Arc<dyn TransactionHook> {
        let sql: Vec<String> = events.iter().flat_map(|received| self.sql(received)).collect();
        let sql: Arc<[String]> = sql.into();
        match &self.bank {
            Bank::Postgres(_) => Arc::new(PostgresHook::writing(move |connection| {
                let sql = Arc::clone(&sql);
                Box::pin(async move {
                    for sql in sql.iter() {
                        sqlx::raw_sql(AssertSqlSafe(sql.as_str()))
                            .execute(&mut *connection)
                            .await?;
                    }
                    Ok::<_, HookError>(())
                })
            })),
            _ => Arc::new(SqliteHook::writing(move |connection| {
                let sql = Arc::clone(&sql);
                Box::pin(async move {
                    for sql in sql.iter() {
                        sqlx::raw_sql(AssertSqlSafe(sql.as_str()))
                            .execute(&mut *connection)
                            .await?;
                    }
                    Ok::<_, HookError>(())
                })
            })),
        }
    }
}

impl Journal {
    async fn new(bank: &Bank) -> Self {
        let table = format!("journal_{:016x}", fastrand::u64(..));
        let journal = Self { bank: bank.clone(), table, broken: Arc::default() };
        let table = &journal.table;
        journal
            .query(&format!(
                "create table {table} (position bigint primary key, account text, cents bigint)"
            ))
            .await;
        journal
            .query(&format!("create table {table}_sums (account text primary key, cents bigint)"))
            .await;
        journal
    }

    fn sql(&self, received: &ReceivedEvent<LedgerEvent>) -> Vec<String> {
        let (table, position) = (&self.table, received.envelope.position);
        let account = received.envelope.stream.key();
        let LedgerEvent::Moved { cents, .. } = &received.event else { return Vec::new() };
        // The database rejects a second line at the same position.
        let poison = *cents == 666 && self.broken.load(Ordering::Relaxed);
        let line = format!("insert into {table} values ({position}, '{account}', {cents})");
        let again = poison.then(|| line.clone());
        let sums = vec![
            format!(
                "insert into {table}_sums values ('{account}', {cents}) on conflict (account) do update set cents = {table}_sums.cents + excluded.cents"
            ),
            line,
        ];
        sums.into_iter().chain(again).collect()
    }

    async fn query(&self, sql: &str) -> Vec<(String, i64)> {
        use sqlx::Row as _;
        let sql = AssertSqlSafe(sql);
        match &self.bank {
            Bank::Memory(_) => Vec::new(),
            Bank::Sqlite(folder) => {
                let url = format!("sqlite:{}", folder.path().join("bank.db").display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
            Bank::Postgres(_) => {
                let url = std::env::var("HIGHWATER_TEST_POSTGRES").unwrap();
                let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
        }
    }

    async fn sums(&self) -> BTreeMap<String, i64> {
        self.query(&format!("select account, cents from {}_sums", self.table))
            .await
            .into_iter()
            .collect()
    }

    async fn lines(&self) -> i64 {
        let lines = self.query(&format!("select '', count(*) from {}", self.table)).await;
        lines[0].1
    }
}

async fn work(bank: &Highwater, journal: &Journal, policy: OnFailure) -> WorkerHandle {
    let options = ProjectionOptions {
        backoff: Backoff { max_retries: 1, ..Backoff::default() },
        ..ProjectionOptions::default().shards(3).batch(17).on_failure(policy)
    };
    let source = DirectSource::new(bank).lease(Duration::from_millis(200));
    let worker = Worker::new(bank).fed_by(source).projection(journal.clone(), options);
    worker.start().await.unwrap()
}

/// Returns every bank except the memory bank, which has no transactions.
fn offices() -> impl Iterator<Item = Bank> {
    banks().into_iter().filter(|bank| !matches!(bank, Bank::Memory(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_a_projection_writes_each_event_once_while_workers_disappear() {
    for office in offices() {
        let (bank, journal) = (office.open().await, Journal::new(&office).await);
        let mut random = fastrand::Rng::new();
        for _ in 0..200 {
            step(&bank, &mut random).await;
        }
        let mut sums = BTreeMap::new();
        let mut all = 0;
        let mut follower = bank.follow(highwater::Query::all(), highwater::Position::START);
        while follower.position() < bank.log().head().await.unwrap() {
            for event in follower.next_page().await.unwrap().events {
                for fact in event.decode::<LedgerEvent>().unwrap() {
                    let LedgerEvent::Moved { cents, .. } = fact else { continue };
                    all += 1;
                    *sums.entry(event.stream.key().to_owned()).or_insert(0) += cents;
                }
            }
        }
        while journal.lines().await < all {
            let worker = work(&bank, &journal, OnFailure::Stop).await;
            let (lines, some) = (journal.lines().await, random.i64(1..40));
            while journal.lines().await < (lines + some).min(all) {
                tokio::task::yield_now().await;
            }
            drop(worker);
        }
        assert_eq!(journal.lines().await, all);
        assert_eq!(journal.sums().await, sums);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_projection_parks_the_stream_whose_writes_fail_and_writes_them_after_the_fix() {
    for office in offices() {
        let (bank, journal) = (office.open().await, Journal::new(&office).await);
        journal.broken.store(true, Ordering::Relaxed);
        for (account, cents) in [("x", 1), ("y", 2), ("x", 666), ("y", 4), ("x", 8), ("z", 16)] {
            let step = Move { customer: "c".to_owned(), partners: Vec::new(), cents };
            bank.aggregate::<Ledger>(account).execute(step).await.unwrap();
        }
        let worker = work(&bank, &journal, OnFailure::Park { at_most: 5 }).await;
        let parked = ParkedKeys::of(&bank, "journal").unwrap();
        let found = until(&parked, |keys| keys.first().is_some_and(|key| key.queued == 2)).await;
        assert_eq!(found[0].key, "ledger-x");
        while journal.lines().await < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sums = |x| [("x", x), ("y", 6), ("z", 16)].map(|(k, v)| (k.to_owned(), v)).into();
        assert_eq!(journal.sums().await, sums(1));
        journal.broken.store(false, Ordering::Relaxed);
        assert!(parked.retry("ledger-x").await.unwrap());
        until(&parked, <[ParkedKey]>::is_empty).await;
        assert_eq!((journal.lines().await, journal.sums().await), (6, sums(675)));
        worker.stop().await.unwrap();
    }
}

async fn until(parked: &ParkedKeys, is: impl Fn(&[ParkedKey]) -> bool) -> Vec<ParkedKey> {
    loop {
        let keys = parked.list(None, 10).await.unwrap();
        if is(&keys) {
            return keys;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_projection_whose_hook_is_for_another_store_stops_with_an_error() {
    let postgres = offices().find(|bank| matches!(bank, Bank::Postgres(_)));
    let Some(postgres) = postgres else { return };
    for (office, other) in offices().map(|office| match &office {
        Bank::Postgres(_) => (office, Bank::Sqlite(Arc::new(tempfile::tempdir().unwrap()))),
        _ => (office, postgres.clone()),
    }) {
        let bank = office.open().await;
        let journal = Journal { bank: other, table: "none".to_owned(), broken: Arc::default() };
        step(&bank, &mut fastrand::Rng::with_seed(1)).await;
        let worker = work(&bank, &journal, OnFailure::Stop).await;
        let mut status = worker.status("journal").unwrap().clone();
        let ProjectionState::Stopped { error, .. } =
            status.until(ProjectionState::is_stopped).await
        else {
            panic!()
        };
        assert_eq!(error.code(), highwater::Code::NOT_APPLIED, "{error}");
        worker.stop().await.unwrap_err();
    }
}
