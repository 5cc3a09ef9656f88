//! The cost of observation: the same work in processes without observers, with a recorder of metrics, and with a
//! collector of spans.

use std::{
    cell::LazyCell,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use highwater::{Highwater, prelude::*};
use highwater_benches::{Bench, Place, Routine, wait};
use serde::{Deserialize, Serialize};

use crate::{
    child::{self, Child},
    domain::{ACCOUNTS, Account, Deposit},
    observers::Observer,
    ours, raw_sqlite, reads, servers,
};

/// The number of events in one catch-up of a view.
const EVENTS: u64 = 100_000;

const PLACE: Place = Place { store: "SQLite", flush: "FULL" };

/// The work.
#[derive(Serialize, Deserialize, Clone, Copy)]
enum Doing {
    Commands,
    Reads,
    /// The events have metadata, but belong to no trace.
    Apply,
}

/// The work of a child, and its observer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Assignment {
    file: PathBuf,
    doing: Doing,
    observer: Observer,
}

impl Assignment {
    /// Carries the assignment out, in the child: each order names a number of repetitions, and is answered with the
    /// seconds that they took.
    pub(crate) fn work(self) {
        self.observer.begin();
        let bank = wait(ours::open(&url(&self.file), ""));
        match self.doing {
            Doing::Commands => serve(ours::sequential(&bank)),
            Doing::Reads => serve(reads::eventual(&bank, EVENTS / ACCOUNTS)),
            Doing::Apply => serve(ours::follows(&bank, EVENTS, || raw_sqlite::forget(&self.file))),
        }
    }
}

fn serve(mut routine: impl Routine) {
    child::serve(|times| routine(times).as_secs_f64());
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

pub(crate) fn all(bench: &mut Bench) {
    let folder = servers::folder();
    // Commands go to a separate log, so that the folded one stays as it was filled.
    let [file, commands] = ["observed.db", "commands.db"].map(|name| folder.path().join(name));
    let filled = LazyCell::new(|| wait(fill(&file)));
    let works = [
        (Doing::Commands, PLACE.commands("sequential commands", "1")),
        (Doing::Reads, PLACE.reads("eventual reads", "1")),
        (Doing::Apply, PLACE.events("100,000 events into a view", EVENTS)),
    ];
    for (doing, work) in works {
        for observer in [Observer::Metrics, Observer::Lines, Observer::Spans] {
            let by = |observer| {
                if let Doing::Commands = doing {
                    return routine(Assignment { file: commands.clone(), doing, observer });
                }
                LazyCell::force(&filled);
                routine(Assignment { file: file.clone(), doing, observer })
            };
            let work = work.under(observer.name());
            bench.versus(work, || by(Observer::Nobody), || by(observer));
        }
    }
}

/// A log whose events all have metadata of their own, and its view.
async fn fill(file: &Path) {
    let bank = ours::open(&url(file), "").await;
    for first in (0..EVENTS).step_by(ACCOUNTS as usize) {
        let commands = (first..first + ACCOUNTS).map(|number| deposit(bank.clone(), number));
        join_all(commands).await;
    }
    reads::feed(&bank).await;
}

async fn deposit(bank: Highwater, number: u64) {
    let request = Request::new(Deposit::number(number)).actor(format!("teller {number}"));
    bank.aggregate::<Account>(number % ACCOUNTS).execute(request).await.unwrap();
}

/// The work of a child.
fn routine(assignment: Assignment) -> impl Routine {
    let mut child = Child::start(&child::Assignment::Observed(assignment));
    wait(child.ready());
    move |times| {
        wait(async {
            child.order(times).await;
            Duration::from_secs_f64(child.answer().await)
        })
    }
}
