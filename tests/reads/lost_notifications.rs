//! R3: a lost notification delays a wait until the next poll, and never hangs it. In these tests
//! the view advances without a notification.

use std::time::{Duration, Instant};

use highwater::{Highwater, Position, Result, Views as _, consistency::Reading};
use highwater_test_support::bank::{Balance, Bank, banks};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tokio::task::JoinHandle;

use crate::{
    counting::{self, Counts},
    views::{deposit, work_until},
};

const LONG_BUDGET: Duration = Duration::from_secs(300);
/// The time limit of a wait. A poll is due after a second, on SQLite sooner; the rest is for a busy
/// machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A direct connection to the database that bypasses the store.
enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection, String),
}

impl Raw {
    async fn of(store: &Bank) -> Option<Self> {
        // Opening the store creates the database.
        drop(store.open().await);
        match store {
            Bank::Memory(_) => None,
            Bank::Sqlite(folder) => {
                let url = format!("sqlite:{}", folder.path().join("bank.db").display());
                Some(Self::Sqlite(SqliteConnection::connect(&url).await.unwrap()))
            }
            Bank::Postgres(url) => {
                let (server, schema) = url.split_once('?').unwrap();
                let schema = schema.split_once("schema=").unwrap().1.split('&').next().unwrap();
                let connection = PgConnection::connect(server).await.unwrap();
                Some(Self::Postgres(connection, schema.to_owned()))
            }
        }
    }

    /// Advances the view to the second event without a notification.
    async fn move_view(&mut self) {
        let moving = |table| format!("update {table} set position = 2 where view = 'balances'");
        let moved = match self {
            Self::Sqlite(connection) => {
                let moving = AssertSqlSafe(moving("bank_shards".to_owned()));
                sqlx::query(moving).execute(connection).await.unwrap().rows_affected()
            }
            Self::Postgres(connection, schema) => {
                let moving = AssertSqlSafe(moving(format!("{schema}.shards")));
                sqlx::query(moving).execute(connection).await.unwrap().rows_affected()
            }
        };
        assert_eq!(moved, 3, "all its shards");
    }

    /// Returns the process id of the connection that listens, if the store uses one and it is
    /// there.
    async fn listener(&mut self) -> Option<Option<i32>> {
        let Self::Postgres(connection, schema) = self else { return None };
        let finding = "select pid from pg_stat_activity \
                       where query ilike 'listen%' and position($1 in query) > 0";
        let listener = sqlx::query_scalar(finding).bind(&*schema).fetch_optional(connection);
        Some(listener.await.unwrap())
    }
}

/// A read of the only handle, which waits for an event that the view lacks.
struct Waiting {
    answer: JoinHandle<Result<Reading<Balance>>>,
    /// The handle that listens.
    bank: Highwater,
}

impl Waiting {
    async fn on(store: &Bank, raw: &mut Raw) -> Self {
        let (bank, counts) = counting::open(store).await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let receipt = deposit(&bank, "alice", 2).await;
        assert_eq!(receipt.position(), Position::new(2));
        let lookup = bank.view::<Balance>().get("alice").after(&receipt).within(LONG_BUDGET);
        let answer = tokio::spawn(lookup.into_future());
        while raw.listener().await == Some(None) {
            tokio::task::yield_now().await;
        }
        // After it starts to listen it polls once more, and then waits for a notification.
        let before = Counts::of(&counts.view_reads);
        while Counts::of(&counts.view_reads) == before || Counts::of(&counts.waiting) == 0 {
            tokio::task::yield_now().await;
        }
        Self { answer, bank }
    }

    /// Checks that the wait ends soon, long before its budget. Returns the handle, which continues
    /// to listen.
    async fn ends(self) -> Highwater {
        let began = Instant::now();
        let read = self.answer.await.unwrap().unwrap();
        assert_eq!(read.freshness().position, Position::new(2));
        println!("seen after {:?}", began.elapsed());
        assert!(began.elapsed() < WAIT_TIMEOUT, "{:?}", began.elapsed());
        self.bank
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_wait_ends_although_the_notification_of_the_view_change_is_lost() {
    for store in banks() {
        let Some(mut raw) = Raw::of(&store).await else { continue };
        let waiting = Waiting::on(&store, &mut raw).await;
        raw.move_view().await;
        waiting.ends().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_wait_outlives_the_listening_connection_which_is_replaced_on_postgres() {
    for store in banks() {
        let Some(mut raw @ Raw::Postgres(..)) = Raw::of(&store).await else { continue };
        let waiting = Waiting::on(&store, &mut raw).await;
        let Some(Some(listener)) = raw.listener().await else { panic!("no connection listens") };
        let Raw::Postgres(connection, _) = &mut raw else { unreachable!("it is on PostgreSQL") };
        let ending = sqlx::query_scalar("select pg_terminate_backend($1, 10000)").bind(listener);
        let has_ended: bool = ending.fetch_one(connection).await.unwrap();
        assert!(has_ended);
        raw.move_view().await;
        let bank = waiting.ends().await;
        let again = async {
            while raw.listener().await.flatten().is_none_or(|now| now == listener) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), again)
            .await
            .expect("no connection listens again");
        drop(bank);
    }
}
