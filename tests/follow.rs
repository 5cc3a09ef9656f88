//! Following the log by the facade, on every store.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use futures_util::FutureExt as _;
use highwater::{Position, domain::QueryItem, prelude::*, value::Category};
use highwater_test_support::bank::{Account, Deposit, Withdraw, banks};

async fn five_events(bank: &Highwater) {
    for (name, cents) in [("alice", 1), ("bob", 2), ("alice", 3)] {
        bank.aggregate::<Account>(name).execute(Deposit { cents }).await.unwrap();
    }
    for name in ["alice", "bob"] {
        bank.aggregate::<Account>(name).execute(Withdraw { cents: 1 }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_a_follower_reads_pages_on_demand_and_resumes_where_another_stopped() {
    for bank in banks() {
        let bank = bank.open().await;
        five_events(&bank).await;
        let mut follower = bank.follow(Query::all(), Position::START).page_size(2);
        assert_eq!(follower.position(), Position::START);
        assert_eq!(follower.next_page().await.unwrap().events.len(), 2);
        let mut other = bank.follow(Query::all(), follower.position()).page_size(2);
        for expected in [&[3, 4][..], &[5]] {
            let page = other.next_page().await.unwrap();
            let positions: Vec<_> = page.events.iter().map(|e| e.position.get()).collect();
            assert_eq!(positions, expected);
        }
        assert_eq!(follower.position(), Position::new(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_a_waiting_follower_is_woken_only_by_a_match_and_may_be_dropped() {
    for bank in banks() {
        let bank = bank.open().await;
        let alice = bank.aggregate::<Account>("alice");
        let withdrawals = Query::types(["account.withdrawn"]);
        let mut follower = bank.follow(withdrawals, Position::START);
        assert!(follower.next_page().now_or_never().is_none());
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        let (page, receipt) =
            tokio::join!(follower.next_page(), alice.execute(Withdraw { cents: 5 }));
        let (page, receipt) = (page.unwrap(), receipt.unwrap());
        assert_eq!(page.events.len(), 1);
        assert_eq!(page.events[0].position, receipt.position());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_a_follower_of_a_category_of_types_or_of_both_skips_the_rest() {
    for bank in banks() {
        let bank = bank.open().await;
        five_events(&bank).await;
        let category = Category::new(Account::CATEGORY).unwrap();
        let other = Category::new("other").unwrap();
        let types = vec!["account.withdrawn".to_owned()];
        let both = |category| {
            let categories = vec![category];
            Query::from(QueryItem { categories, types: types.clone(), ..QueryItem::default() })
        };
        for (query, expected) in [
            (Query::category(category.clone()), 5),
            (Query::types(["account.deposited"]), 3),
            (both(category), 2),
            (both(other).or(Query::types(["account.deposited"])), 3),
        ] {
            let page = bank.follow(query, Position::START).next_page().await.unwrap();
            assert_eq!((page.events.len(), page.more), (expected, false));
        }
    }
}
