//! A table of the application's, to which some commands write in the transaction of their append. A constraint that is
//! checked at the commit refuses what some of them write.

use std::collections::BTreeSet;

use highwater::{
    Highwater, Position, Query, Receipt, Request, Result,
    domain::TransactionHook,
    port::{EventStore, ReadFrom},
    stores::{
        PostgresHook, SqliteHook,
        sqlx::{self, Connection as _},
    },
};
use highwater_test_support::till::{Change, Till, TillEvent, TillStep};
use serde::{Deserialize, Serialize};

/// Amounts that no other command adds to a till.
const NOTED_CENTS: i64 = 6;
const REFUSED_CENTS: i64 = 7;

const TABLES: &str = "
    create table fire_orders (id integer primary key);
    create table fire_notes (
        command text primary key,
        item integer references fire_orders (id) deferrable initially deferred
    )";

/// A request of a client to a till.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Asked {
    Step(TillStep),
    /// Adds to the till, and writes a note.
    Noted,
    /// The same, with a note that the database refuses at the commit.
    RefusedAtCommit,
}

impl Asked {
    /// Asks for the step, or at times for a note.
    pub(crate) fn choose(random: &mut fastrand::Rng, step: TillStep) -> Self {
        match random.u32(..20) {
            0 => Self::Noted,
            1 => Self::RefusedAtCommit,
            _ => Self::Step(step),
        }
    }

    /// Executes the command on a till of the store with this URL.
    pub(crate) async fn send(self, tills: &Highwater, url: &str, till: u64) -> Result<Receipt> {
        let (cents, item) = match self {
            Self::Step(step) => return step.send(tills, till).await,
            Self::Noted => (NOTED_CENTS, None),
            Self::RefusedAtCommit => (REFUSED_CENTS, Some(7)),
        };
        let change = Request::new(Change { cents });
        let till = tills.aggregate::<Till>(till);
        match url.starts_with("sqlite:") {
            true => till.execute(change.in_transaction(noting_on_sqlite(item))).await,
            false => till.execute(change.in_transaction(noting_on_postgres(item))).await,
        }
    }
}

fn noting_on_sqlite(item: Option<i32>) -> impl TransactionHook {
    SqliteHook::new(move |connection, append| {
        let note = sqlx::query("insert into fire_notes values (?, ?)");
        let note = note.bind(append.command.to_string()).bind(item);
        Box::pin(async move { Ok(note.execute(connection).await.map(drop)?) })
    })
}

fn noting_on_postgres(item: Option<i32>) -> impl TransactionHook {
    PostgresHook::new(move |connection, append| {
        let note = sqlx::query("insert into fire_notes values ($1, $2)");
        let note = note.bind(append.command.to_string()).bind(item);
        Box::pin(async move { Ok(note.execute(connection).await.map(drop)?) })
    })
}

/// Creates the tables.
pub(crate) async fn create_tables(url: &str) {
    let tables = sqlx::raw_sql(TABLES);
    if url.starts_with("sqlite:") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        tables.execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        tables.execute(&mut connection).await.unwrap();
    }
}

/// Returns the commands that have a note.
async fn notes(url: &str) -> BTreeSet<String> {
    let notes = "select command from fire_notes";
    let notes: Vec<String> = if url.starts_with("sqlite:") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        sqlx::query_scalar(notes).fetch_all(&mut connection).await.unwrap()
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(notes).fetch_all(&mut connection).await.unwrap()
    };
    notes.into_iter().collect()
}

/// Asserts that every noted command of the log has its note, that no note lacks its event, and that the log has none of the
/// commands that were refused at their commit.
pub(crate) async fn assert_notes(url: &str, log: &dyn EventStore) {
    let notes = notes(url).await;
    let mut noted = BTreeSet::new();
    let mut after = Position::START;
    loop {
        let page = log.read_log(&Query::all(), ReadFrom::After(after), 1_000).await.unwrap();
        for envelope in &page.events {
            for TillEvent::Changed { cents } in envelope.decode::<TillEvent>().unwrap() {
                assert_ne!(cents, REFUSED_CENTS, "a refused command is stored: {envelope:?}");
                if cents == NOTED_CENTS {
                    noted.insert(envelope.command.to_string());
                }
            }
        }
        after = page.through;
        if !page.more {
            break;
        }
    }
    println!("{} notes", notes.len());
    assert_eq!(notes, noted);
    assert!(!notes.is_empty(), "no command was noted");
}
