//! W5: an answer that appends nothing is decided on the newest state that was acknowledged when the command was sent, or
//! on a later one. By plan: another process is faster, and answers of the store come late.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater::{Highwater, Receipt, Result, Version, prelude::*};
use highwater_test_support::bank::{Account, Bank, Deposit, Withdraw, banks};
use tokio::task::JoinHandle;

use crate::{
    intercept,
    late::{HeldAnswer, LateAnswers},
};

/// The time in which a hasty answer would come.
const HASTE: Duration = Duration::from_millis(20);
/// The number of times that each plan is tried on each store.
const TIMES: usize = 5;

/// Two processes on one store. Answers to the first come late.
struct Processes {
    here: Highwater,
    late: Arc<LateAnswers>,
    there: Highwater,
}

impl Processes {
    async fn on(store: &Bank) -> Self {
        let late = LateAnswers::of(store.store().await);
        Self { here: intercept::on(&late).build(), late, there: store.open().await }
    }

    fn deposit(&self, key: &str, cents: i64) -> JoinHandle<Result<Receipt>> {
        let account = self.here.aggregate::<Account>(key);
        tokio::spawn(async move { account.execute(Deposit { cents }).await })
    }

    /// Brings the first process into a state that lacks a deposit: the account has 5 cents there and 10 in the store,
    /// and the answer to the first deposit is still on its way. Returns that answer, and the receipt of the other deposit.
    async fn fall_behind(&self, key: &str) -> (HeldAnswer, Receipt) {
        let mut first = self.late.hold_append();
        self.deposit(key, 5);
        first.is_there().await;
        let second = self.there.aggregate::<Account>(key).execute(Deposit { cents: 5 }).await;
        (first, second.unwrap())
    }
}

type Answered = BoxFuture<'static, Result<Receipt>>;

/// Sends a command on a cached state: it is decided before this returns.
fn send<C: Command>(bank: &Highwater, key: &str, request: impl Into<Request<C>>) -> Answered
where
    Account: Decide<C>,
{
    let account = bank.aggregate::<Account>(key);
    let request = request.into();
    let mut answer = async move { account.execute(request).await }.boxed();
    assert!((&mut answer).now_or_never().is_none(), "it waits for what it depends on");
    answer
}

/// Asks after a deposit of another process was acknowledged. Before the answer comes, a third command of this process
/// extends the cached state beyond that deposit, in vain. With `is_late`, this process doesn't know that yet.
async fn ask_behind_a_deposit(
    store: &Bank,
    is_late: bool,
    ask: fn(&Highwater, &str) -> Answered,
    check: fn(Result<Receipt>, &Receipt),
) {
    let processes = Processes::on(store).await;
    for time in 0..TIMES {
        let key = format!("{is_late}-{time}");
        let (first, acknowledged) = processes.fall_behind(&key).await;
        let mut asked = ask(&processes.here, &key);
        let mut third = processes.late.hold_append();
        let extending = processes.deposit(&key, 1);
        third.is_there().await;
        let mut third = Some(third);
        if !is_late {
            third.take().into_iter().for_each(HeldAnswer::release);
        }
        first.release();
        let hasty = tokio::time::timeout(HASTE, &mut asked).await;
        third.into_iter().for_each(HeldAnswer::release);
        let answer = match hasty {
            Ok(answer) => answer,
            Err(_) => asked.await,
        };
        check(answer, &acknowledged);
        extending.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w5_a_rejection_knows_every_event_that_was_acknowledged_before_it_was_asked_for() {
    for store in banks() {
        for is_late in [true, false] {
            let ask = |bank: &Highwater, key: &str| send(bank, key, Withdraw { cents: 9 });
            ask_behind_a_deposit(&store, is_late, ask, |answer, _| drop(answer.unwrap())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w5_the_token_of_a_command_without_events_covers_every_event_that_was_acknowledged_before()
{
    for store in banks() {
        for is_late in [true, false] {
            let ask = |bank: &Highwater, key: &str| send(bank, key, Deposit { cents: 0 });
            let check = |answer: Result<Receipt>, acknowledged: &Receipt| {
                let receipt = answer.unwrap();
                assert!(receipt.is_empty() && receipt.position() >= acknowledged.position());
            };
            ask_behind_a_deposit(&store, is_late, ask, check).await;
        }
    }
}

/// The third command may come between: then the conflict names its version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w5_an_expected_version_that_was_acknowledged_before_is_no_conflict() {
    for store in banks() {
        for is_late in [true, false] {
            let ask = |bank: &Highwater, key: &str| {
                send(bank, key, Request::new(Deposit { cents: 1 }).expecting(Version::new(2)))
            };
            let check = |answer: Result<Receipt>, _: &Receipt| {
                if let Err(error) = answer {
                    let actual = error.conflict().unwrap().actual_version().unwrap();
                    assert_eq!(actual, Version::new(3), "{error}");
                }
            };
            ask_behind_a_deposit(&store, is_late, ask, check).await;
        }
    }
}

/// The state that a command decides on may be that of a load which began before the command did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w5_a_rejection_on_a_load_that_began_before_the_command_is_not_stale() {
    for store in banks() {
        let processes = Processes::on(&store).await;
        let there = processes.there.aggregate::<Account>("joined");
        there.execute(Deposit { cents: 5 }).await.unwrap();
        let mut load = processes.late.hold_read();
        let earlier = processes.deposit("joined", 0);
        load.is_there().await;
        there.execute(Deposit { cents: 5 }).await.unwrap();
        let asked = send(&processes.here, "joined", Withdraw { cents: 9 });
        load.release();
        asked.await.unwrap();
        earlier.await.unwrap().unwrap();
    }
}

/// A later append of the same process that builds on the state of a rejection proves it: the store isn't read, and the
/// cached state stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w5_a_rejection_beside_appends_of_its_own_process_reads_nothing() {
    for store in banks() {
        let late = LateAnswers::of(store.store().await);
        let here = intercept::on(&late).build();
        let account = here.aggregate::<Account>("own");
        account.execute(Deposit { cents: 5 }).await.unwrap();
        let reads = late.reads();
        for _ in 0..TIMES {
            let mut first = late.hold_append();
            let earlier = account.execute(Deposit { cents: 1 });
            let asked = async {
                first.is_there().await;
                let asked = send(&here, "own", Withdraw { cents: 900 });
                account.execute(Deposit { cents: 1 }).await.unwrap();
                first.release();
                asked.await
            };
            let (earlier, asked) = tokio::join!(earlier, asked);
            earlier.unwrap();
            assert!(asked.unwrap_err().is_rejected());
        }
        assert_eq!(late.reads(), reads);
    }
}
