//! Reads of rows by key, by hand: one prepared statement, and the row's JSON decoded.

use std::{
    cell::OnceCell,
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::future::join_all;
use highwater_benches::{Budget, Routine, in_a_task, wait};
use rusqlite::Row;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::sync::Semaphore;

use crate::{
    FOLLOWED,
    domain::{ACCOUNTS, BALANCES},
    raw_postgres::SCHEMA,
    raw_sqlite,
};

/// A row of our view.
#[derive(serde::Deserialize)]
struct Balance {
    cents: i64,
    events: u64,
}

fn check(json: &[u8]) {
    let balance: Balance = serde_json::from_slice(json).unwrap();
    assert_eq!(balance.events, FOLLOWED / ACCOUNTS);
    assert_eq!(balance.cents.cast_unsigned(), balance.events);
}

fn any_key() -> String {
    fastrand::u64(..ACCOUNTS).to_string()
}

/// A connection of an asynchronous driver.
trait Select: Send + 'static {
    fn select(&mut self, sql: &str) -> impl Future<Output = ()> + Send;
}

impl Select for PgConnection {
    async fn select(&mut self, sql: &str) {
        let row = sqlx::query(AssertSqlSafe(sql)).bind(any_key()).fetch_one(self).await.unwrap();
        // The wire format of JSON is its text.
        check(row.try_get_raw(0).unwrap().as_bytes().unwrap());
    }
}

impl Select for SqliteConnection {
    async fn select(&mut self, sql: &str) {
        let row = sqlx::query(AssertSqlSafe(sql)).bind(any_key()).fetch_one(self).await.unwrap();
        check(row.get(0));
    }
}

/// Connections that tasks take in turn. A pool would ping each of them.
struct Connections<C> {
    free: Mutex<Vec<C>>,
    turns: Semaphore,
    sql: String,
}

impl<C: Select> Connections<C> {
    fn new(connections: Vec<C>, sql: String) -> Arc<Self> {
        let turns = Semaphore::new(connections.len());
        Arc::new(Self { free: Mutex::new(connections), turns, sql })
    }

    async fn read(&self) {
        let _turn = self.turns.acquire().await.unwrap();
        let mut connection = self.free.lock().unwrap().pop().unwrap();
        connection.select(&self.sql).await;
        self.free.lock().unwrap().push(connection);
    }

    async fn read_on(self: Arc<Self>, budget: Budget) {
        while budget.take() {
            self.read().await;
        }
    }
}

/// Returns the reads of a number of tasks on PostgreSQL, with as many connections as Highwater has for reads.
pub(crate) fn from_postgres(url: &str, tasks: u64) -> impl Routine + use<> {
    let connect = async |_| PgConnection::connect(url).await.unwrap();
    let sql = format!("select value from {SCHEMA}.rows_{BALANCES} where key = $1");
    let connections = Connections::new(wait(join_all((0..8).map(connect))), sql);
    reads(tasks, move |budget| Arc::clone(&connections).read_on(budget))
}

/// Returns the reads of a number of tasks on SQLite through the same driver, with as many connections.
pub(crate) fn from_sqlite(file: &Path, tasks: u64) -> impl Routine + use<> {
    let url = format!("sqlite:{}", file.display());
    let connect = async |_| SqliteConnection::connect(&url).await.unwrap();
    let sql = format!("select value from highwater_rows_{BALANCES} where key = ?");
    let connections = Connections::new(wait(join_all((0..4).map(connect))), sql);
    reads(tasks, move |budget| Arc::clone(&connections).read_on(budget))
}

/// Returns the reads of a number of tasks on SQLite, each on the calling thread.
pub(crate) fn within(file: &Path, tasks: u64) -> impl Routine + use<> {
    let file: Arc<Path> = file.into();
    reads(tasks, move |budget| read_here(Arc::clone(&file), budget))
}

thread_local! {
    static HERE: OnceCell<rusqlite::Connection> = const { OnceCell::new() };
}

async fn read_here(file: Arc<Path>, budget: Budget) {
    let sql = format!("select value from highwater_rows_{BALANCES} where key = ?");
    while budget.take() {
        HERE.with(|here| {
            let connection = here.get_or_init(|| raw_sqlite::connect(&file));
            let mut statement = connection.prepare_cached(&sql).unwrap();
            let row = |row: &Row<'_>| {
                check(row.get_ref(0)?.as_bytes().unwrap());
                Ok(())
            };
            statement.query_row([any_key()], row).unwrap();
        });
        tokio::task::consume_budget().await;
    }
}

fn reads<F: Future<Output = ()> + Send + 'static>(
    tasks: u64,
    task: impl Fn(Budget) -> F + Clone + Send + 'static,
) -> impl Routine {
    move |times| {
        let (budget, task) = (Budget::of(times), task.clone());
        wait(in_a_task(async move {
            let began = Instant::now();
            let tasks = (0..tasks).map(|_| tokio::spawn(task(budget.clone())));
            join_all(tasks).await.into_iter().for_each(Result::unwrap);
            began.elapsed()
        }))
    }
}
