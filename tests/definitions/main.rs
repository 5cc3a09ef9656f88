//! Programs that change a view, and programs of both versions at once, on every store (R5): rows of another
//! definition are never folded on, and never returned as if they were this program's.
//!
//! | File | Content |
//! |---|---|
//! | `programs` | the programs; all of them give their view one name |
//! | `changes` | programs that stop at a change, and changes that are adopted |
//! | `generations` | programs that build a new generation |
//! | `rolling`, `program_process` | deployments of two programs, whose processes are killed |
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![cfg(feature = "testing")]

mod changes;
mod generations;
mod program_process;
mod programs;
mod rolling;

use std::{collections::BTreeMap, time::Duration};

use highwater::{
    Code, Highwater, Position, Query,
    error::NextStep,
    prelude::*,
    worker::{ProjectionState, WorkerHandle},
};
use highwater_test_support::bank::{Bank, banks};
use tokio::time::timeout;

use crate::programs::{first, with_type};

/// The time after which a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn move_to(app: &Highwater, person: &str, city: &'static str) -> Receipt {
    app.aggregate::<first::Person>(person).execute(first::Move(city)).await.unwrap()
}

pub(crate) async fn leave(app: &Highwater, person: &str) -> Receipt {
    app.aggregate::<with_type::Person>(person).execute(with_type::Leave).await.unwrap()
}

pub(crate) async fn start<V: View>(app: &Highwater) -> WorkerHandle {
    Worker::new(app).view::<V>().start().await.unwrap()
}

/// Waits until a worker has stopped, and checks that its error names the view and this change.
pub(crate) async fn is_refused(worker: WorkerHandle, change: &str) {
    let mut status = worker.statuses()[0].clone();
    let stopped = timeout(PATIENCE, status.until(ProjectionState::is_stopped)).await;
    let stopped = stopped.unwrap_or_else(|_| panic!("it is {}", status.now()));
    let error = stopped.error().unwrap();
    assert_eq!(error.code(), Code::OTHER_DEFINITION, "{error}");
    assert_eq!(error.next_step(), NextStep::AskOperator);
    for words in ["addresses", change] {
        assert!(error.to_string().contains(words), "no {words:?} in: {error}");
    }
    worker.stop().await.unwrap_err();
}

/// Checks that a read at every level is refused for this change.
pub(crate) async fn is_not_read<V: View>(app: &Highwater, change: &str) {
    let view = app.view::<V>();
    let reads = [
        view.get("ann").await.map(drop),
        view.get("ann").strong().await.map(drop),
        view.get_many(["ann", "bob"]).await.map(drop),
        view.range(.., 10).await.map(drop),
        view.freshness().await.map(drop),
    ];
    for read in reads {
        let error = read.unwrap_err();
        assert_eq!(error.code(), Code::OTHER_DEFINITION, "{error}");
        assert!(error.to_string().contains(change), "no {change:?} in: {error}");
    }
}

/// Builds the view of the first program on every store, and ends that program.
pub(crate) async fn built() -> Vec<Bank> {
    let banks = banks();
    for bank in &banks {
        let app = bank.open().await;
        let worker = start::<first::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Oslo").await;
        let ann = app.view::<first::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Oslo");
        worker.stop().await.unwrap();
    }
    banks
}

/// The people of a race. Some leave while the new program starts.
pub(crate) const PEOPLE: [&str; 6] = ["ann", "bob", "eve", "kim", "lee", "sam"];

/// Folds the log without the code that workers use: the city of each person, empty after it was left.
pub(crate) async fn cities(app: &Highwater) -> BTreeMap<String, String> {
    let mut cities = BTreeMap::new();
    let mut events = app.follow(Query::all(), Position::START);
    let head = app.log().head().await.unwrap();
    let mut seen = Position::START;
    while seen < head {
        for event in events.next_page().await.unwrap().events {
            let city = serde_json::from_slice::<serde_json::Value>(&event.payload).unwrap();
            let city = city["city"].as_str().unwrap_or_default().to_owned();
            cities.insert(event.stream.key().to_owned(), city);
            seen = event.position;
        }
    }
    cities
}
