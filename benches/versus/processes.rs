//! Several processes that write to one log.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::{
    child::{self, Child},
    domain::ACCOUNTS,
    ours,
};
use highwater_benches::{Routine, wait};

const SCHEMA: &str = "bank";

/// The assumed seconds of a command before the first measurement.
const FIRST_GUESS: f64 = 25e-6;
/// The shortest run: in less time processes would hardly contend.
const SHORTEST: Duration = Duration::from_millis(20);

/// The work of a child.
#[derive(Serialize, Deserialize)]
pub(crate) struct Assignment {
    url: String,
    tasks: u64,
    accounts: Range<u64>,
}

impl Assignment {
    /// Carries the assignment out, in the child: each order names a number of milliseconds, and is answered with the
    /// commands per second.
    pub(crate) fn work(self) {
        let bank = wait(ours::open_warm(&self.url, SCHEMA, self.accounts.clone()));
        child::serve(|millis| {
            let began = Instant::now();
            let end = began + Duration::from_millis(millis);
            let more = move || Instant::now() < end;
            let done = wait(ours::deposits(&bank, self.tasks, &self.accounts, more));
            done as f64 / began.elapsed().as_secs_f64()
        });
    }
}

/// Returns the commands of several processes together, which share the accounts or have separate ones.
///
/// Processes can't share one budget, and with separate budgets the last one would run alone at its end. So all of
/// them run for the expected time of the commands, and the time of the commands follows from the measured rate.
pub(crate) fn commands(
    url: &str,
    processes: u64,
    tasks: u64,
    shared: bool,
) -> impl Routine + use<> {
    let mut children = wait(start(url, processes, tasks, shared));
    let mut each = FIRST_GUESS;
    move |commands| {
        let time = Duration::from_secs_f64(each * commands as f64).max(SHORTEST);
        each = 1.0 / wait(rate(&mut children, time));
        Duration::from_secs_f64(each * commands as f64)
    }
}

async fn start(url: &str, processes: u64, tasks: u64, shared: bool) -> Vec<Child> {
    // The first process creates the tables.
    drop(ours::open(url, SCHEMA).await);
    let share = ACCOUNTS / processes;
    let accounts = |process: u64| match shared {
        true => 0..ACCOUNTS,
        false => process * share..(process + 1) * share,
    };
    let mut children: Vec<Child> = (0..processes)
        .map(|process| Assignment { url: url.to_owned(), tasks, accounts: accounts(process) })
        .map(|assignment| Child::start(&child::Assignment::Commands(assignment)))
        .collect();
    join_all(children.iter_mut().map(Child::ready)).await;
    children
}

/// Returns the commands per second of all children together.
async fn rate(children: &mut [Child], time: Duration) -> f64 {
    for child in &mut *children {
        child.order(time.as_millis() as u64).await;
    }
    join_all(children.iter_mut().map(Child::answer)).await.iter().sum()
}
