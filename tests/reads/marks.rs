//! R2, R3: marks, which a relay writes to every partition, advance the time of a shard without
//! events.

use std::time::Duration;

use highwater::{
    Code, Highwater, Receipt, Views as _,
    consistency::Basis,
    value::{ShardId, Sharding},
};
use highwater_test_support::bank::{Account, Balance, Deposit, banks};

use crate::{relayed::Relayed, views::deposit};

const BOUND: Duration = Duration::from_secs(60);

/// Returns a key for each of the two partitions.
fn keys() -> [String; 2] {
    let of = |shard: u32| {
        (0..)
            .map(|n| format!("key-{n}"))
            .find(|key| Sharding::by_stream(2).shard_of(&format!("account-{key}")).get() == shard)
            .unwrap()
    };
    [of(0), of(1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_bounded_read_is_judged_by_the_marks_of_its_own_shard() {
    for (log, elsewhere) in banks().into_iter().zip(banks()) {
        // Views beside the log, where the head is known and ahead; and in a separate store, where
        // it isn't.
        let views = elsewhere.store().await;
        let apart = log.builder().await.views(views).build();
        for bank in [log.open().await, apart] {
            marked(&bank).await;
        }
    }
}

async fn marked(bank: &Highwater) {
    let mut relayed = Relayed::<Balance>::on(bank, Sharding::by_stream(2)).await;
    let [quiet, busy] = keys();
    deposit(bank, &busy, 1).await;
    bank.aggregate::<Account>(&busy).execute(Deposit { cents: 1 }).await.unwrap();
    let read = |key: &str| {
        let lookup = bank.view::<Balance>().get(key).bounded(BOUND);
        lookup.within(Duration::from_millis(10)).find()
    };
    let now = bank.clock().now();
    let long_ago = now - 10 * BOUND;
    // The relay stopped long ago: neither key is fresh, with or without events.
    for shard in [0, 1] {
        relayed.mark(ShardId::new(shard), 1, long_ago, &[]).await;
    }
    for key in [&quiet, &busy] {
        assert_eq!(read(key).await.unwrap_err().code(), Code::STALE_READ);
    }
    // With traffic in one partition only, the marks also keep the other one fresh.
    relayed.mark(ShardId::new(0), 1, now, &[]).await;
    assert_eq!(read(&quiet).await.unwrap().basis(), Basis::View);
    assert_eq!(read(&busy).await.unwrap_err().code(), Code::STALE_READ, "its own shard is behind");
    relayed.mark(ShardId::new(1), 1, now, &[]).await;
    assert_eq!(read(&busy).await.unwrap().basis(), Basis::View);
    // For a range every shard counts.
    let range = bank.view::<Balance>().range("".., 10).bounded(BOUND).await.unwrap();
    // Stores truncate times to microseconds.
    assert_eq!(range.freshness().as_of.as_microsecond(), now.as_microsecond());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_token_waits_only_for_the_shard_of_the_key() {
    for store in banks() {
        let bank = store.open().await;
        let mut relayed = Relayed::<Balance>::on(&bank, Sharding::by_stream(2)).await;
        let [stuck, moving] = keys();
        let (first, second) = (deposit(&bank, &stuck, 1).await, deposit(&bank, &moving, 1).await);
        let read = |key: &str, receipt: &Receipt| {
            let lookup = bank.view::<Balance>().get(key).after(receipt);
            lookup.within(Duration::from_secs(20)).find()
        };
        let waiting = tokio::spawn(read(&moving, &second));
        let (end, now) = (second.position().get(), bank.clock().now());
        relayed.mark(ShardId::new(1), end, now, &[(&moving, Balance::default())]).await;
        assert!(waiting.await.unwrap().unwrap().is_some());
        // The shard of this key is known to be complete up to the command of the other, so the read
        // sees that one as well.
        assert!(read(&moving, &first).await.unwrap().is_some());
        let soon = Duration::from_millis(10);
        for receipt in [&first, &second] {
            let behind = bank.view::<Balance>().get(&*stuck).after(receipt).within(soon).find();
            assert_eq!(behind.await.unwrap_err().code(), Code::STALE_READ);
        }
    }
}
