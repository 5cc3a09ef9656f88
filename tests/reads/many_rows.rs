//! R2, R3: several rows have one freshness, the lowest of those read.

use std::time::Duration;

use highwater::{
    Code, Position, Views as _,
    consistency::{Basis, Fallback},
    value::{FreshnessStatus, Sharding},
};
use highwater_test_support::bank::{Balance, banks};

use crate::{
    relayed::Relayed,
    views::{Parity, deposit, work, work_until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_many_rows_are_of_one_moment_and_missing_rows_are_omitted() {
    for bank in banks() {
        let bank = bank.open().await;
        deposit(&bank, "a", 1).await;
        deposit(&bank, "b", 2).await;
        let receipt = deposit(&bank, "c", 3).await;
        work_until::<Balance>(&bank, &receipt).await;
        let rows = bank.view::<Balance>().get_many(["c", "x", "a", "c"]).await.unwrap();
        let cents: Vec<_> = rows.iter().map(|(key, row)| (key.as_str(), row.cents)).collect();
        assert_eq!(cents, [("c", 3), ("a", 1)]);
        assert_eq!((rows.get("a").unwrap().cents, rows.get("x")), (1, None));
        assert!(rows.freshness().is_current());
        let none = bank.view::<Balance>().get_many(Vec::<String>::new()).await.unwrap();
        assert!(none.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_many_rows_wait_and_are_folded_like_one() {
    for bank in banks() {
        let bank = bank.open().await;
        let keys: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
        let mut receipt = deposit(&bank, "k0", 1).await;
        work_until::<Balance>(&bank, &receipt).await;
        for key in &keys {
            receipt = deposit(&bank, key, 1).await;
        }
        let strong = bank.view::<Balance>().get_many(&keys).strong().await.unwrap();
        assert_eq!((strong.len(), strong.basis()), (20, Basis::Folded));
        assert_eq!(strong.iter().map(|(_, row)| row.cents).sum::<i64>(), 21);
        let short = Duration::from_millis(10);
        let late = || bank.view::<Balance>().get_many(&keys).after(&receipt);
        assert_eq!(late().within(short).await.unwrap_err().code(), Code::STALE_READ);
        let stale = late().within(short).or(Fallback::ServeStale).await.unwrap();
        assert_eq!((stale.len(), stale.is_stale()), (1, true));
        let waiting = tokio::spawn(late().within(Duration::from_secs(30)).into_future());
        let worker = work::<Balance>(&bank).await;
        let rows = waiting.await.unwrap().unwrap();
        assert_eq!((rows.len(), rows.basis()), (20, Basis::View));
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_each_page_of_a_range_begins_after_the_previous_one() {
    for bank in banks() {
        let bank = bank.open().await;
        let mut receipt = deposit(&bank, "other", 1).await;
        for n in 0..10 {
            receipt = deposit(&bank, &format!("k{n}"), n + 1).await;
        }
        work_until::<Balance>(&bank, &receipt).await;
        let first = bank.view::<Balance>().range("k".."l", 4).after(&receipt).await.unwrap();
        assert!(first.freshness().is_current());
        let (mut found, mut next) = (Vec::new(), Some("k".to_owned()));
        while let Some(after) = next.take() {
            let page = bank.view::<Balance>().range("k".."l", 4).following(after).await.unwrap();
            found.extend(page.iter().map(|(key, _)| key.clone()));
            next.clone_from(&page.next);
        }
        assert_eq!(found, (0..10).map(|n| format!("k{n}")).collect::<Vec<_>>());
        let nothing = bank.view::<Balance>().range("x".., 0).await.unwrap_err();
        assert_eq!(nothing.code(), Code::BAD_REQUEST);
    }
}

/// Reads two keys whose shards are at different positions, as in practice. Each row is folded from
/// its own position.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_each_of_many_rows_is_folded_from_the_position_of_its_shard() {
    for bank in banks() {
        let bank = bank.open().await;
        let apart = |sharding: &Sharding| sharding.shard_of("even") != sharding.shard_of("odd");
        let sharding = (2..).map(Sharding::by_key).find(apart).unwrap();
        let shards = ["even", "odd"].map(|key| sharding.shard_of(key));
        let mut relayed = Relayed::<Parity>::on(&bank, sharding).await;
        for cents in 1..=6 {
            deposit(&bank, "alice", cents).await;
        }
        let now = bank.clock().now();
        relayed.mark(shards[0], 4, now, &[("even", Parity { cents: 6, events: 2 })]).await;
        relayed.mark(shards[1], 1, now, &[("odd", Parity { cents: 1, events: 1 })]).await;
        let stale = bank.view::<Parity>().get_many(["even", "odd"]).await.unwrap();
        assert_eq!(stale.freshness().position, Position::new(1), "the lower of both");
        let strong = bank.view::<Parity>().get_many(["even", "odd"]).strong().await.unwrap();
        let found = strong.iter().map(|(_, row)| (row.cents, row.events)).collect::<Vec<_>>();
        assert_eq!(found, [(12, 3), (9, 3)]);
    }
}

/// Any shard may hold a row of the range, so the lowest of them counts, and a strong read waits for
/// all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_strong_range_waits_until_the_view_is_current() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "a", 1).await).await;
        deposit(&bank, "b", 1).await;
        let range = || bank.view::<Balance>().range("".., 10).strong();
        let short = Duration::from_millis(10);
        assert_eq!(range().within(short).await.unwrap_err().code(), Code::STALE_READ);
        let waiting = tokio::spawn(range().within(Duration::from_secs(30)).into_future());
        let worker = work::<Balance>(&bank).await;
        assert_eq!(waiting.await.unwrap().unwrap().len(), 2);
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_parked_keys_in_an_answer_are_named() {
    for bank in banks() {
        let bank = bank.open().await;
        deposit(&bank, "a", 666).await;
        let receipt = deposit(&bank, "a", 1).await;
        work_until::<Parity>(&bank, &receipt).await;
        let parked = [("even".to_owned(), Position::new(1))];
        let many = bank.view::<Parity>().get_many(["odd", "even"]).await.unwrap();
        assert_eq!((many.len(), many.parked.as_slice()), (1, &parked[..]));
        assert_eq!(many.freshness().status(), FreshnessStatus::Degraded(Position::new(1)));
        let range = bank.view::<Parity>().range("".., 10).await.unwrap();
        assert_eq!((range.len(), range.parked.as_slice()), (1, &parked[..]));
        assert_eq!(range.freshness().status(), FreshnessStatus::Degraded(Position::new(1)));
        let strong = bank.view::<Parity>().get_many(["odd", "even"]).strong().await.unwrap_err();
        assert_eq!(strong.code(), Code::PARKED);
    }
}
