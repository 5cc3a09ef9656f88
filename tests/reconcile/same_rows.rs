//! R6: rows whose JSON differs, and which are the same row.

use std::collections::{BTreeSet, HashMap, HashSet};

use highwater::{Highwater, Views as _, prelude::*};
use highwater_test_support::{
    bank::{Bank, banks},
    ledger::{Ledger, LedgerEvent, Move},
};

use crate::{
    found::{assert_equal, found},
    tampering::tamper,
};

/// A row whose hashed parts are written in another order each time, beside a list whose order means something.
#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = LedgerEvent, name = "hashed")]
struct Hashed {
    cents: HashSet<i64>,
    by_cents: HashMap<i64, HashSet<String>>,
    in_order: Vec<i64>,
    sorted: BTreeSet<i64>,
    large: u128,
    mean: f64,
}

impl Hashed {
    fn key(event: &LedgerEvent, _: &Envelope) -> Option<String> {
        match event {
            LedgerEvent::Moved { customer, .. } => Some(customer.clone()),
            LedgerEvent::Closed => None,
        }
    }

    fn fold(&mut self, event: &LedgerEvent, _: &Envelope) {
        let LedgerEvent::Moved { cents, partners, .. } = event else { return };
        self.cents.insert(*cents);
        self.by_cents.entry(*cents / 10).or_default().extend(partners.iter().cloned());
        self.in_order.push(*cents);
        self.sorted.insert(-*cents);
        self.large =
            self.large.wrapping_mul(u128::from(u64::MAX)) + cents.unsigned_abs() as u128 + 1;
        self.mean = self.mean / 3.0 + *cents as f64;
    }
}

/// Changes the stored row.
async fn change(store: &Bank, bank: &Highwater, change: fn(&mut Hashed)) {
    let mut row = (*bank.view::<Hashed>().get("bob").await.unwrap()).clone();
    change(&mut row);
    let row = serde_json::to_string(&row).unwrap();
    tamper::<Hashed>(store, bank, "bob", Some(&row)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_the_order_of_hashed_sets_and_maps_is_no_drift_and_that_of_lists_is() {
    for store in banks() {
        let bank = store.open().await;
        let worker = Worker::new(&bank).view::<Hashed>().start().await.unwrap();
        let mut last = None;
        for cents in 1..60 {
            let partners = (0..cents % 7).map(|number| format!("p{number}")).collect();
            let step = Move { customer: "bob".to_owned(), partners, cents };
            last = Some(bank.aggregate::<Ledger>("a1").execute(step).await.unwrap());
        }
        bank.view::<Hashed>().get("bob").after(last.unwrap()).await.unwrap();
        worker.stop().await.unwrap();
        let verify = async || bank.view::<Hashed>().verify().await.unwrap();
        for _ in 0..5 {
            assert_equal(&verify().await);
        }
        change(&store, &bank, |row| row.in_order.swap(3, 4)).await;
        let report = verify().await;
        assert_eq!(found(&report), [("bob", "different")]);
        assert!(report.drift[0].fields.iter().any(|field| field.field == "in_order"));
        bank.view::<Hashed>().repair(["bob"]).await.unwrap();
        assert_equal(&verify().await);
        // Written again in another order: no drift.
        change(&store, &bank, |_| ()).await;
        assert_equal(&verify().await);
        change(&store, &bank, |row| row.cents = row.cents.iter().copied().skip(1).collect()).await;
        assert_eq!(found(&verify().await), [("bob", "different")]);
    }
}

/// Two integers of more than 64 bits are one number to a program that reads them as a double.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_large_integers_that_differ_in_the_last_digit_are_drift() {
    for store in banks() {
        let bank = store.open().await;
        let worker = Worker::new(&bank).view::<Hashed>().start().await.unwrap();
        for cents in 1..6 {
            let step = Move { customer: "bob".to_owned(), partners: Vec::new(), cents };
            let receipt = bank.aggregate::<Ledger>("a1").execute(step).await.unwrap();
            bank.view::<Hashed>().get("bob").after(&receipt).await.unwrap();
        }
        worker.stop().await.unwrap();
        let row = (*bank.view::<Hashed>().get("bob").await.unwrap()).clone();
        assert!(row.large > u128::from(u64::MAX), "{row:?}");
        let wrong = Hashed { large: row.large ^ 1, ..row.clone() };
        tamper::<Hashed>(&store, &bank, "bob", Some(&serde_json::to_string(&wrong).unwrap())).await;
        let report = bank.view::<Hashed>().verify().await.unwrap();
        assert_eq!(found(&report), [("bob", "different")]);
        let right = serde_json::to_string_pretty(&row).unwrap();
        tamper::<Hashed>(&store, &bank, "bob", Some(&right)).await;
        assert_equal(&bank.view::<Hashed>().verify().await.unwrap());
    }
}
