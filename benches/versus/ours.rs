//! Highwater's side of each work.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use highwater::{
    Highwater, Token, Views as _,
    core::{CommandId, EventId, StreamId, execute::AggregateHandle},
    port::{Append, EventStore, Expected, NewEvent},
    prelude::*,
    projections::Options,
    stores::{self, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, SystemClock},
};

use crate::domain::{ACCOUNTS, Account, AccountEvent, Balance, Deposit, Saved, memo};

/// A store of its own; `name` tells it apart from others of the same server or folder.
pub(crate) async fn open(url: &str, name: &str) -> Highwater {
    if url.starts_with("sqlite:") {
        let options = SqliteOptions::new(url).unwrap();
        return stores::on(SqliteStore::open(options, Arc::new(SystemClock)).await.unwrap())
            .build();
    }
    let options = PostgresOptions::new(url).unwrap().schema(name).unwrap();
    stores::on(PostgresStore::connect(options).await.unwrap()).build()
}

/// Deposits once to each account, so that its state is in memory.
pub(crate) async fn warm(bank: &Highwater, accounts: std::ops::Range<u64>) {
    join_all(accounts.map(|account| deposit(bank, account, 0))).await;
}

async fn deposit(bank: &Highwater, account: u64, number: u64) {
    bank.aggregate::<Account>(account).execute(Deposit::number(number)).await.unwrap();
}

/// Commands per second of one client that goes from account to account.
pub(crate) async fn sequential(bank: &Highwater, time: Duration) -> f64 {
    let bank = bank.clone();
    in_a_task(async move {
        let began = Instant::now();
        let mut done = 0;
        while began.elapsed() < time {
            deposit(&bank, done % ACCOUNTS, done).await;
            done += 1;
        }
        done as f64 / began.elapsed().as_secs_f64()
    })
    .await
}

/// Where the work of a service is done, on either side of a comparison.
pub(crate) async fn in_a_task<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    tokio::spawn(work).await.unwrap()
}

/// Commands per second of many tasks, each of which picks accounts at random.
pub(crate) async fn concurrent(
    bank: &Highwater,
    tasks: u64,
    accounts: std::ops::Range<u64>,
    time: Duration,
) -> f64 {
    let began = Instant::now();
    let task = |_| {
        let (bank, accounts) = (bank.clone(), accounts.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while began.elapsed() < time {
                deposit(&bank, fastrand::u64(accounts.clone()), done).await;
                done += 1;
            }
            done
        })
    };
    let done: u64 = join_all((0..tasks).map(task)).await.into_iter().map(Result::unwrap).sum();
    done as f64 / began.elapsed().as_secs_f64()
}

/// Appends so many events, evenly to all accounts, without commands: the log that others read.
pub(crate) async fn fill(bank: &Highwater, events: u64) {
    for first in (0..events / ACCOUNTS).step_by(8) {
        let appends = (0..ACCOUNTS).map(|account| {
            let stream = StreamId::new("account", account).unwrap();
            bank.log().append(append(&stream, (first..first + 8).map(new_event).collect()))
        });
        join_all(appends).await.into_iter().for_each(|appended| drop(appended.unwrap()));
    }
}

/// Appends so many events to one stream.
pub(crate) async fn fill_stream(log: &dyn EventStore, stream: &StreamId, events: u64) {
    log.append(append(stream, (0..events).map(new_event).collect())).await.unwrap();
}

fn append(stream: &StreamId, events: Vec<NewEvent>) -> Append {
    let command = CommandId::from_uuid(uuid::Uuid::now_v7());
    let fingerprint = highwater::core::domain::Fingerprinter::default().finish();
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

/// Events per second when the state of one long stream is folded from the store.
pub(crate) async fn load(bank: &Highwater, key: &str, events: u64, time: Duration) -> f64 {
    let account = bank.aggregate::<Account>(key);
    in_a_task(loads(account, events, time)).await
}

/// Makes a stream of so many events with snapshots.
pub(crate) async fn fill_saved(bank: &Highwater, key: &str, events: u64) {
    let stream = StreamId::new("saved", key).unwrap();
    fill_stream(&**bank.log(), &stream, events - 1).await;
    bank.aggregate::<Saved>(key).execute(Deposit::number(events)).await.unwrap();
}

/// Events per second that a load with a snapshot stands for.
pub(crate) async fn load_saved(bank: &Highwater, key: &str, events: u64, time: Duration) -> f64 {
    let account = bank.aggregate::<Saved>(key);
    in_a_task(loads(account, events, time)).await
}

async fn loads<A: Aggregate>(account: AggregateHandle<A>, events: u64, time: Duration) -> f64 {
    let began = Instant::now();
    let mut loads = 0;
    while began.elapsed() < time {
        assert_eq!(account.load(AsOf::Now).await.unwrap().version.get(), events);
        loads += 1;
    }
    (loads * events) as f64 / began.elapsed().as_secs_f64()
}

/// Events per second from the start of a worker until its view has the whole log.
pub(crate) async fn follow(bank: &Highwater, round: usize, events: u64) -> f64 {
    match round {
        0 => follow_into::<0>(bank, events).await,
        1 => follow_into::<1>(bank, events).await,
        2 => follow_into::<2>(bank, events).await,
        3 => follow_into::<3>(bank, events).await,
        4 => follow_into::<4>(bank, events).await,
        5 => follow_into::<5>(bank, events).await,
        6 => follow_into::<6>(bank, events).await,
        7 => follow_into::<7>(bank, events).await,
        8 => follow_into::<8>(bank, events).await,
        _ => follow_into::<9>(bank, events).await,
    }
}

async fn follow_into<const ROUND: u8>(bank: &Highwater, events: u64) -> f64 {
    let head = bank.log().head().await.unwrap();
    let options = Options { batch: 10_000, ..Options::default() };
    let began = Instant::now();
    let worker = ViewWorker::<Balance<ROUND>>::start(bank, options).await.unwrap();
    while bank.views().read_view(&view::<ROUND>(), &[]).await.unwrap().checkpoint.position < head {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = began.elapsed();
    let row = bank.view::<Balance<ROUND>>().get("7").after(Token::at(head)).await.unwrap();
    assert_eq!(row.events(), events / ACCOUNTS);
    worker.stop().await.unwrap();
    events as f64 / took.as_secs_f64()
}

fn view<const ROUND: u8>() -> highwater::port::ViewName {
    highwater::port::ViewName::new(Balance::<ROUND>::NAME).unwrap()
}
