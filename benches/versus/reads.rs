//! Highwater's side of reads by key, from a view that has everything.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use highwater::{Highwater, Token, Views as _, domain::ViewName, prelude::*};
use highwater_benches::{Bench, Budget, Place, Routine, in_a_task, wait};

use crate::{
    FOLLOWED,
    domain::{ACCOUNTS, Balance},
    ours,
};

/// The number of concurrent readers.
pub(crate) const TASKS: u64 = 64;

/// The level of a read.
#[derive(Clone, Copy)]
pub(crate) enum Asking {
    Eventual,
    /// With a token that the view has reached.
    AfterAll,
    Strong,
}

/// The reads of one task, and of many at once: eventual, read-your-writes, strong.
const WORKS: [(u64, &str, [&str; 3]); 2] = [
    (1, "1", ["eventual reads", "read-your-writes, beside eventual", "strong reads"]),
    (
        TASKS,
        "64",
        [
            "eventual reads, 64 tasks",
            "read-your-writes, beside eventual, 64 tasks",
            "strong reads, 64 tasks",
        ],
    ),
];

/// Adds the same works for a store. `raw` returns the selects of a number of tasks.
pub(crate) fn all<R: Routine>(
    bench: &mut Bench,
    place: Place,
    log: impl Fn() -> Highwater,
    raw: impl Fn(u64) -> R,
) {
    for (tasks, clients, [eventual, own, strong]) in WORKS {
        let by_hand = || {
            log();
            raw(tasks)
        };
        let ours = |asking| reads(&log(), tasks, asking);
        let work = |name, share| place.reads(name, clients).at_least(share);
        bench.versus(work(eventual, 0.8), by_hand, || ours(Asking::Eventual));
        let eventually = || ours(Asking::Eventual);
        bench.versus(work(own, 0.95), eventually, || ours(Asking::AfterAll));
        bench.versus(work(strong, 0.4), by_hand, || ours(Asking::Strong));
    }
}

/// Catches the view up with the whole log, and stops the worker.
pub(crate) async fn feed(bank: &Highwater) {
    let head = bank.log().head().await.unwrap();
    let worker = Worker::new(bank).view::<Balance>().start().await.unwrap();
    let view = ViewName::new(Balance::NAME).unwrap();
    ours::until_at(bank, &view, head, Instant::now()).await;
    worker.stop().await.unwrap();
}

/// Returns the reads of a number of tasks.
fn reads(bank: &Highwater, tasks: u64, asking: Asking) -> impl Routine + use<> {
    let all = Token::at(wait(bank.log().head()).unwrap());
    let reader = Reader { bank: bank.clone(), asking, all, events: FOLLOWED / ACCOUNTS };
    move |reads| wait(in_a_task(reader.clone().read(Budget::of(reads), tasks)))
}

/// Returns the eventual reads of one task, of rows with this number of events.
pub(crate) fn eventual(bank: &Highwater, events: u64) -> impl Routine + use<> {
    let (bank, asking, all) = (bank.clone(), Asking::Eventual, Token::default());
    let reader = Reader { bank, asking, all, events };
    move |reads| wait(in_a_task(reader.clone().read(Budget::of(reads), 1)))
}

#[derive(Clone)]
struct Reader {
    bank: Highwater,
    asking: Asking,
    /// The token of the whole log.
    all: Token,
    /// The number of events of each row.
    events: u64,
}

impl Reader {
    async fn read(self, budget: Budget, tasks: u64) -> Duration {
        let began = Instant::now();
        let task = |_| tokio::spawn(self.clone().read_on(budget.clone()));
        join_all((0..tasks).map(task)).await.into_iter().for_each(Result::unwrap);
        began.elapsed()
    }

    async fn read_on(self, budget: Budget) {
        let balances = self.bank.view::<Balance>();
        while budget.take() {
            let lookup = balances.get(fastrand::u64(..ACCOUNTS).to_string());
            let row = match self.asking {
                Asking::Eventual => lookup.await,
                Asking::AfterAll => lookup.after(&self.all).await,
                Asking::Strong => lookup.strong().await,
            };
            assert_eq!(row.unwrap().events(), self.events);
        }
    }
}
