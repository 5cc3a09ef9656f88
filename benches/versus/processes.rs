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

/// Seconds for a command, before anything is known.
const FIRST_GUESS: f64 = 25e-6;
/// In less time processes would hardly meet.
const SHORTEST: Duration = Duration::from_millis(20);

/// The work of a child.
#[derive(Serialize, Deserialize)]
pub(crate) struct Assignment {
    url: String,
    tasks: u64,
    accounts: Range<u64>,
}

impl Assignment {
    /// The child's part: it works for as many milliseconds as it is told, again and again, and says each
    /// time how many commands a second it was.
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

/// Commands of so many processes together. They share the accounts, or each has some of its own.
///
/// Processes can't take turns at one budget, and the last of them would be alone at the end of its
/// share. So they all work for as long as so many commands should take, and what so many took follows
/// from how fast they were.
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

/// Commands per second of all of them.
async fn rate(children: &mut [Child], time: Duration) -> f64 {
    for child in &mut *children {
        child.order(time.as_millis() as u64).await;
    }
    join_all(children.iter_mut().map(Child::answer)).await.iter().sum()
}
