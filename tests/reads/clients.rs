//! R3: many clients write and read their own writes, while workers lag and are killed.

use std::{env, time::Duration};

use futures_util::future::join_all;
use highwater::{
    Code, Highwater, Token, Views as _, Worker, direct::DirectSource, worker::ProjectionOptions,
};
use highwater_test_support::bank::{Account, Balance, Deposit, banks};

use crate::views::{deposit, work_until};

/// The number of clients, unless the environment sets a larger one.
fn clients() -> usize {
    env::var("HIGHWATER_READ_CLIENTS").map_or(60, |count| count.parse().unwrap())
}

fn seed() -> u64 {
    let seed =
        env::var("HIGHWATER_SEED").map_or_else(|_| fastrand::u64(..), |s| s.parse().unwrap());
    eprintln!("HIGHWATER_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_no_answer_is_older_than_its_token_while_workers_lag_and_are_killed() {
    for bank in banks() {
        let seed = seed();
        // The reader is a second handle, like that of another process.
        let (bank, reader) = (bank.open().await, bank.open().await);
        work_until::<Balance>(&bank, &deposit(&bank, "first", 1).await).await;
        let killing = tokio::spawn(restart_workers(bank.clone(), fastrand::Rng::with_seed(seed)));
        let clients = (0..clients()).map(|number| {
            let random = fastrand::Rng::with_seed(seed ^ number as u64);
            tokio::spawn(client(bank.clone(), reader.clone(), number, random))
        });
        let tokens: Vec<Token> = join_all(clients).await.into_iter().map(Result::unwrap).collect();
        killing.abort();
        let _ = killing.await;
        // Once a single worker runs undisturbed, the view reaches every token.
        let worker =
            Worker::new(&bank).view_with::<Balance>(ProjectionOptions::default().shards(3));
        let worker = worker.start().await.unwrap();
        for (number, token) in tokens.iter().enumerate() {
            let read = reader.view::<Balance>().get(format!("client-{number}")).after(token);
            assert_eq!(read.within(Duration::from_secs(120)).await.unwrap().events, STEPS as u64);
        }
        worker.stop().await.unwrap();
    }
}

/// The number of writes of each client, each followed by a read.
const STEPS: i64 = 10;

/// Writes and reads repeatedly. Returns the token of the last write.
async fn client(
    bank: Highwater,
    reader: Highwater,
    number: usize,
    mut random: fastrand::Rng,
) -> Token {
    let key = format!("client-{number}");
    let mut last = Token::default();
    for cents in 1..=STEPS {
        let receipt = bank.aggregate::<Account>(&key).execute(Deposit { cents: 1 }).await.unwrap();
        let budget = Duration::from_millis(random.u64(..300));
        let read = reader.view::<Balance>().get(&key).after(&receipt).within(budget);
        match read.await {
            Ok(balance) => {
                assert_eq!((balance.cents, balance.events), (cents, cents.unsigned_abs()), "{key}");
                assert!(balance.freshness().position >= receipt.position());
            }
            Err(error) => assert_eq!(error.code(), Code::STALE_READ, "{error}"),
        }
        last = receipt.token().clone();
    }
    last
}

/// Runs workers that start, work for a while, and are killed at any point.
async fn restart_workers(bank: Highwater, mut random: fastrand::Rng) {
    let lease = Duration::from_millis(150);
    loop {
        let options = ProjectionOptions::default().shards(3).batch(1 + random.usize(..20));
        let worker = Worker::new(&bank).fed_by(DirectSource::new(&bank).lease(lease));
        let worker = worker.view_with::<Balance>(options).start().await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.u64(50..400))).await;
        drop(worker);
        tokio::time::sleep(Duration::from_millis(random.u64(..100))).await;
    }
}
