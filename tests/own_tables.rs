//! Hooks: the writes of an application in the transaction of an append, on every store that has transactions.
#![cfg(all(feature = "postgres", feature = "sqlite"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use highwater::{
    Code, Version,
    prelude::*,
    stores::{
        HookError, PostgresHook, SqliteHook,
        sqlx::{self, AssertSqlSafe, Connection as _},
    },
};
use highwater_test_support::bank::{Account, Bank, Deposit, Withdraw, banks};

/// A store, and a table of the application's own beside it.
struct Office {
    bank: Bank,
    highwater: Highwater,
    table: String,
}

/// The outcome of a hook after it has written a note.
#[derive(Clone, Copy)]
enum Then {
    Ends,
    Rejects,
    ReadsWhatIsNotThere,
    Panics,
}

impl Then {
    fn happens(self) -> Result<(), HookError> {
        match self {
            Self::Ends => Ok(()),
            Self::Rejects => Err(Rejection::new("office_is_open", "come tomorrow").into()),
            Self::ReadsWhatIsNotThere => Err(sqlx::Error::RowNotFound.into()),
            Self::Panics => panic!("on purpose"),
        }
    }
}

/// The memory store has no transactions.
async fn offices() -> Vec<Office> {
    let mut offices = Vec::new();
    for bank in banks().into_iter().filter(|bank| !matches!(bank, Bank::Memory(_))) {
        let table = format!("notes_{:016x}", fastrand::u64(..));
        let office = Office { highwater: bank.open().await, bank, table };
        office.sql(&format!("create table {} (note text primary key)", office.table)).await;
        offices.push(office);
    }
    offices
}

impl Office {
    async fn sql(&self, sql: &str) -> i64 {
        let (sql, missing) = (AssertSqlSafe(sql), || sqlx::Error::RowNotFound);
        let rows: Result<Option<i64>, sqlx::Error> = match &self.bank {
            Bank::Memory(_) => Err(missing()),
            Bank::Sqlite(folder) => {
                let url = format!("sqlite:{}", folder.path().join("bank.db").display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                sqlx::query_scalar(sql).fetch_optional(&mut connection).await
            }
            Bank::Postgres(_) => {
                let url = std::env::var("HIGHWATER_TEST_POSTGRES").unwrap();
                let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
                sqlx::query_scalar(sql).fetch_optional(&mut connection).await
            }
        };
        rows.unwrap().unwrap_or_default()
    }

    async fn notes(&self) -> i64 {
        self.sql(&format!("select count(*) from {}", self.table)).await
    }

    /// The request, with a note that is taken in its transaction.
    fn noting<C>(
        &self,
        request: impl Into<Request<C>>,
        note: &'static str,
        then: Then,
    ) -> Request<C> {
        let request = request.into();
        let insert = match &self.bank {
            Bank::Postgres(_) => format!("insert into {} (note) values ($1)", self.table),
            _ => format!("insert into {} (note) values (?)", self.table),
        };
        match &self.bank {
            Bank::Postgres(_) => request.in_transaction(PostgresHook::new(move |connection, _| {
                let insert = sqlx::query(AssertSqlSafe(insert.clone())).bind(note);
                Box::pin(async move {
                    insert.execute(connection).await?;
                    then.happens()
                })
            })),
            _ => request.in_transaction(SqliteHook::new(move |connection, _| {
                let insert = sqlx::query(AssertSqlSafe(insert.clone())).bind(note);
                Box::pin(async move {
                    insert.execute(connection).await?;
                    then.happens()
                })
            })),
        }
    }

    async fn execute(&self, request: Request<Deposit>) -> highwater::Result<Receipt> {
        self.highwater.aggregate::<Account>("alice").execute(request).await
    }

    async fn alice(&self) -> (i64, Version) {
        let alice = self.highwater.aggregate::<Account>("alice").load(AsOf::Now).await.unwrap();
        (alice.balance, alice.version)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_a_hook_is_committed_with_the_events_of_its_command() {
    for office in offices().await {
        office.execute(office.noting(Deposit { cents: 5 }, "five", Then::Ends)).await.unwrap();
        assert_eq!((office.alice().await, office.notes().await), ((5, Version::new(1)), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_a_hook_of_a_command_without_events_runs() {
    for office in offices().await {
        let receipt = office.execute(office.noting(Deposit { cents: 0 }, "zero", Then::Ends)).await;
        assert!(receipt.unwrap().is_empty());
        assert_eq!((office.alice().await, office.notes().await), ((0, Version::NONE), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_a_hook_of_a_rejected_command_writes_nothing() {
    for office in offices().await {
        let request = office.noting(Withdraw { cents: 5 }, "five", Then::Ends);
        let alice = office.highwater.aggregate::<Account>("alice");
        assert!(alice.execute(request).await.unwrap_err().is_rejected());
        assert_eq!((office.alice().await, office.notes().await), ((0, Version::NONE), 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_a_hook_that_was_rolled_back_after_a_conflict_takes_effect_once() {
    for office in offices().await {
        let elsewhere = office.bank.open().await;
        for cents in [1, 2] {
            office.execute(Deposit { cents }.into()).await.unwrap();
            elsewhere.aggregate::<Account>("alice").execute(Deposit { cents }).await.unwrap();
        }
        office.execute(office.noting(Deposit { cents: 4 }, "four", Then::Ends)).await.unwrap();
        assert_eq!((office.alice().await, office.notes().await), ((10, Version::new(5)), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_a_hook_of_a_repeated_command_takes_effect_once() {
    for office in offices().await {
        let deposit = || Request::new(Deposit { cents: 5 }).id(CommandId::derive(["once"]));
        let first = office.execute(office.noting(deposit(), "first", Then::Ends)).await.unwrap();
        let again = office.execute(office.noting(deposit(), "again", Then::Ends)).await.unwrap();
        assert_eq!(first, again);
        assert_eq!((office.alice().await, office.notes().await), ((5, Version::new(1)), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_a_hook_that_fails_rolls_the_events_back_and_the_command_may_be_repeated() {
    for office in offices().await {
        let deposit = || Request::new(Deposit { cents: 5 }).id(CommandId::derive(["failing"]));
        for (then, code) in [
            (Then::Rejects, Code::REJECTED),
            (Then::ReadsWhatIsNotThere, Code::BAD_REQUEST),
            (Then::Panics, Code::PANICKED),
        ] {
            let failed = office.execute(office.noting(deposit(), "note", then)).await;
            assert_eq!(failed.unwrap_err().code(), code);
            assert_eq!((office.alice().await, office.notes().await), ((0, Version::NONE), 0));
        }
        office.execute(office.noting(deposit(), "note", Then::Ends)).await.unwrap();
        assert_eq!((office.alice().await, office.notes().await), ((5, Version::new(1)), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_a_hook_that_the_database_refuses_is_not_retried() {
    for office in offices().await {
        office.execute(office.noting(Deposit { cents: 5 }, "unique", Then::Ends)).await.unwrap();
        let twice = office.execute(office.noting(Deposit { cents: 5 }, "unique", Then::Ends)).await;
        assert_eq!(twice.unwrap_err().code(), Code::BAD_REQUEST);
        office.sql(&format!("drop table {}", office.table)).await;
        let nowhere = office.execute(office.noting(Deposit { cents: 5 }, "note", Then::Ends)).await;
        assert_eq!(nowhere.unwrap_err().code(), Code::BAD_DATABASE);
        assert_eq!(office.alice().await, (5, Version::new(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_for_another_store_is_refused_and_nothing_is_stored() {
    for bank in banks() {
        let deposit = Request::new(Deposit { cents: 5 });
        let request = match &bank {
            Bank::Sqlite(_) => {
                deposit.in_transaction(PostgresHook::new(|_, _| Box::pin(async { Ok(()) })))
            }
            _ => deposit.in_transaction(SqliteHook::new(|_, _| Box::pin(async { Ok(()) }))),
        };
        let bank = bank.open().await;
        let refused = bank.aggregate::<Account>("alice").execute(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::BAD_REQUEST);
        assert_eq!(bank.log().head().await.unwrap().get(), 0);
    }
}
