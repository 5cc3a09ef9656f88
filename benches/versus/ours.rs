//! Highwater's side of each work.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use highwater::{
    CommandId, Highwater, Position, StreamId, Token, Views as _,
    domain::ViewName,
    execute::AggregateHandle,
    port::{Append, EventStore, NewEvent},
    prelude::*,
    stores::{self, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, SystemClock},
    value::{EventId, Expected},
    worker::ProjectionOptions,
};

use crate::domain::{ACCOUNTS, Account, AccountEvent, Balance, Deposit, Saved, memo};
use highwater_benches::{Budget, Routine, in_a_task, wait};

/// Opens a store; `name` distinguishes it from others on the same server.
pub(crate) async fn open(url: &str, name: &str) -> Highwater {
    if url.starts_with("sqlite:") {
        let options = SqliteOptions::new(url).unwrap();
        return stores::on(SqliteStore::open(options, Arc::new(SystemClock)).await.unwrap())
            .build();
    }
    let options = PostgresOptions::new(url).unwrap().schema(name).unwrap();
    stores::on(PostgresStore::connect(options).await.unwrap()).build()
}

/// Opens a store, and loads the state of its accounts into the cache.
pub(crate) async fn open_warm(url: &str, name: &str, accounts: Range<u64>) -> Highwater {
    let bank = open(url, name).await;
    join_all(accounts.map(|account| deposit(&bank, account, 0))).await;
    bank
}

async fn deposit(bank: &Highwater, account: u64, number: u64) {
    bank.aggregate::<Account>(account).execute(Deposit::number(number)).await.unwrap();
}

/// Returns the commands of one client that goes from account to account.
pub(crate) fn sequential(bank: &Highwater) -> impl Routine + use<> {
    let bank = bank.clone();
    move |commands| {
        let bank = bank.clone();
        wait(in_a_task(async move {
            let began = Instant::now();
            for number in 0..commands {
                deposit(&bank, number % ACCOUNTS, number).await;
            }
            began.elapsed()
        }))
    }
}

/// Returns the commands of many tasks, each of which picks accounts at random.
pub(crate) fn concurrent(
    bank: &Highwater,
    tasks: u64,
    accounts: Range<u64>,
) -> impl Routine + use<> {
    let bank = bank.clone();
    move |commands| {
        let budget = Budget::of(commands);
        let began = Instant::now();
        wait(deposits(&bank, tasks, &accounts, move || budget.take()));
        began.elapsed()
    }
}

/// Makes deposits from many tasks concurrently, and returns their number.
pub(crate) async fn deposits(
    bank: &Highwater,
    tasks: u64,
    accounts: &Range<u64>,
    more: impl Fn() -> bool + Clone + Send + 'static,
) -> u64 {
    let task = |_| {
        let (bank, accounts, more) = (bank.clone(), accounts.clone(), more.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while more() {
                deposit(&bank, fastrand::u64(accounts.clone()), done).await;
                done += 1;
            }
            done
        })
    };
    join_all((0..tasks).map(task)).await.into_iter().map(Result::unwrap).sum()
}

/// Fills the log for reading: appends events without commands, evenly to a number of accounts.
pub(crate) async fn fill(bank: &Highwater, accounts: u64, events: u64) {
    let each = events / accounts;
    for first in (0..each).step_by(8) {
        let numbers = first..each.min(first + 8);
        for some in (0..accounts).step_by(1_000) {
            let appends = (some..accounts.min(some + 1_000)).map(|account| {
                let stream = StreamId::new("account", account).unwrap();
                bank.log().append(append(&stream, numbers.clone().map(new_event).collect()))
            });
            join_all(appends).await.into_iter().for_each(|appended| drop(appended.unwrap()));
        }
    }
}

/// Creates two streams of this many events, one without snapshots and one with them.
pub(crate) async fn fill_long(bank: &Highwater, key: &str, events: u64) {
    let log = &**bank.log();
    fill_stream(log, &StreamId::new("account", key).unwrap(), events).await;
    fill_stream(log, &StreamId::new("saved", key).unwrap(), events - 1).await;
    bank.aggregate::<Saved>(key).execute(Deposit::number(events)).await.unwrap();
}

async fn fill_stream(log: &dyn EventStore, stream: &StreamId, events: u64) {
    log.append(append(stream, (0..events).map(new_event).collect())).await.unwrap();
}

fn append(stream: &StreamId, events: Vec<NewEvent>) -> Append {
    let command = CommandId::from_uuid(uuid::Uuid::now_v7());
    let fingerprint = highwater::domain::Fingerprinter::default().finish();
    Append::new(command, fingerprint).stream(stream.clone(), Expected::Any, events)
}

fn new_event(number: u64) -> NewEvent {
    let event = AccountEvent::Deposited { cents: 1, memo: memo(number) };
    let mut payload = Vec::new();
    event.encode(&mut payload).unwrap();
    NewEvent {
        id: EventId::from_uuid(uuid::Uuid::now_v7()),
        event_type: event.event_type(),
        tags: event.tags(),
        payload: payload.into(),
    }
}

/// Loads the state of one long stream, from the events or from a snapshot if the aggregate has one.
pub(crate) fn loads<A>(bank: &Highwater, key: &'static str, events: u64) -> impl Routine + use<A>
where
    A: Aggregate<Services: Default>,
{
    let bank = bank.clone();
    move |loads| wait(in_a_task(load(bank.aggregate::<A>(key), events, loads)))
}

async fn load<A: Aggregate>(account: AggregateHandle<A>, events: u64, loads: u64) -> Duration {
    let began = Instant::now();
    for _ in 0..loads {
        assert_eq!(account.load(AsOf::Now).await.unwrap().version.get(), events);
    }
    began.elapsed()
}

/// Returns the time from the start of a worker until its view has the whole log. `forget` removes the view of the
/// previous repetition, which would have nothing left to fold.
pub(crate) fn follows(bank: &Highwater, events: u64, forget: impl Fn()) -> impl Routine {
    let bank = bank.clone();
    move |times| {
        (0..times)
            .map(|_| {
                forget();
                wait(follow(&bank, events))
            })
            .sum()
    }
}

async fn follow(bank: &Highwater, events: u64) -> Duration {
    let head = bank.log().head().await.unwrap();
    let options = ProjectionOptions::default().batch(10_000);
    let view = ViewName::new(Balance::NAME).unwrap();
    let began = Instant::now();
    let worker = Worker::new(bank).view_with::<Balance>(options).start().await.unwrap();
    let took = until_at(bank, &view, head, began).await;
    let row = bank.view::<Balance>().get("7").after(Token::at(head)).await.unwrap();
    assert_eq!(row.events(), events / ACCOUNTS);
    worker.stop().await.unwrap();
    took
}

/// Returns the time from `began` until the view has reached the position.
pub(crate) async fn until_at(
    bank: &Highwater,
    view: &ViewName,
    head: Position,
    began: Instant,
) -> Duration {
    while bank.views().read_view(view, &[]).await.unwrap().state.least().position < head {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    began.elapsed()
}
