//! R6: the events that made a row, step by step.

use highwater::{
    Highwater, Position, Receipt, Version, View, Views as _,
    prelude::*,
    worker::{OnFailure, ProjectionOptions},
};
use highwater_test_support::{
    bank::banks,
    ledger::{ByAccount, ByCustomer, Close, Ledger, LedgerEvent, Move},
};
use serde_json::json;

use crate::{found::work, tampering::tamper};

async fn move_money(bank: &Highwater, account: &str, customer: &str, cents: i64) -> Receipt {
    let step = Move { customer: customer.to_owned(), partners: Vec::new(), cents };
    bank.aggregate::<Ledger>(account).execute(step).await.unwrap()
}

async fn wait_for<V: View>(bank: &Highwater, key: &str, receipt: &Receipt) {
    bank.view::<V>().get(key).after(receipt).find().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_the_history_of_a_row_names_each_event_and_what_it_changed() {
    for store in banks() {
        let bank = store.open().await;
        let worker = work(&bank, 2).await;
        move_money(&bank, "a1", "bob", 5).await;
        move_money(&bank, "a2", "ann", 1).await;
        move_money(&bank, "a2", "bob", -2).await;
        let last = move_money(&bank, "a1", "bob", 0).await;
        wait_for::<ByCustomer>(&bank, "bob", &last).await;
        let history = bank.view::<ByCustomer>().why("bob").await.unwrap();
        let positions: Vec<u64> = history.steps.iter().map(|step| step.position.get()).collect();
        assert_eq!(positions, [1, 3, 4]);
        assert_eq!((history.earlier_steps, history.position), (0, Position::new(4)));
        assert_eq!(history.row, history.stored);
        let step = &history.steps[1];
        assert_eq!((step.stream.as_str(), step.version), ("ledger-a2", Version::new(2)));
        assert_eq!(step.type_name, "ledger.moved");
        let cents = step.changes.iter().find(|change| change.field == "cents").unwrap();
        assert_eq!((&cents.before, &cents.after), (&Some(json!(5)), &Some(json!(3))));
        assert!(step.to_string().contains("ledger.moved of ledger-a2"), "{step}");
        assert!(step.to_string().contains("; cents: 5 → 3"), "{step}");
        let unchanged = &history.steps[2].changes;
        assert!(!unchanged.iter().any(|change| change.field == "cents"), "{unchanged:?}");

        let earlier = bank.view::<ByCustomer>().why("bob").up_to(Position::new(3)).await.unwrap();
        assert_eq!((earlier.steps.len(), earlier.position), (2, Position::new(3)));
        assert_eq!(earlier.row, step.row);
        let end = bank.view::<ByCustomer>().why("bob").up_to(Position::END).last(1).await.unwrap();
        assert_eq!((end.steps.len(), end.earlier_steps), (1, 2));
        assert_eq!((end.row, end.position), (history.row, Position::new(4)));
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_the_history_of_a_row_by_stream_has_its_deletion_and_shows_what_is_stored() {
    for store in banks() {
        let bank = store.open().await;
        let worker = work(&bank, 2).await;
        move_money(&bank, "a1", "bob", 5).await;
        bank.aggregate::<Ledger>("a1").execute(Close).await.unwrap();
        let last = move_money(&bank, "a1", "bob", 7).await;
        wait_for::<ByAccount>(&bank, "a1", &last).await;
        worker.stop().await.unwrap();
        tamper::<ByAccount>(&store, &bank, "a1", Some(r#"{"cents":1}"#)).await;
        let history = bank.view::<ByAccount>().why("a1").await.unwrap();
        let rows: Vec<bool> = history.steps.iter().map(|step| step.row.is_some()).collect();
        assert_eq!(rows, [true, false, true]);
        assert!(history.steps[1].changes.iter().all(|change| change.after.is_none()));
        assert_eq!(history.stored, Some(json!({"cents": 1})));
        assert_eq!(history.row.unwrap()["cents"], 7);
        let nothing = bank.view::<ByAccount>().why("nothing").await.unwrap();
        assert!(nothing.steps.is_empty() && nothing.row.is_none() && nothing.stored.is_none());
    }
}

/// A row that can't have 666 cents.
#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = LedgerEvent, name = "superstitious")]
struct Superstitious {
    cents: i64,
}

impl Superstitious {
    fn key(event: &LedgerEvent, _: &Envelope) -> Option<String> {
        match event {
            LedgerEvent::Moved { customer, .. } => Some(customer.clone()),
            LedgerEvent::Closed => None,
        }
    }

    fn fold(&mut self, event: &LedgerEvent, _: &Envelope) -> Result<(), &'static str> {
        if let LedgerEvent::Moved { cents, .. } = event {
            self.cents += cents;
            if *cents == 666 {
                return Err("the number of the beast");
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_an_event_that_was_skipped_is_in_the_history_of_its_row_without_an_effect() {
    for store in banks() {
        let bank = store.open().await;
        let options = ProjectionOptions::default().on_failure(OnFailure::Skip);
        let worker = Worker::new(&bank).view_with::<Superstitious>(options).start().await.unwrap();
        move_money(&bank, "a1", "bob", 5).await;
        move_money(&bank, "a1", "bob", 666).await;
        move_money(&bank, "a1", "ann", 1).await;
        let last = move_money(&bank, "a1", "bob", 2).await;
        wait_for::<Superstitious>(&bank, "bob", &last).await;
        let view = bank.view::<Superstitious>();
        let history = view.why("bob").await.unwrap();
        assert_eq!(history.row, Some(json!({"cents": 7})));
        assert_eq!(history.row, history.stored);
        let errors: Vec<bool> = history.steps.iter().map(|step| step.error.is_some()).collect();
        assert_eq!(errors, [false, true, false]);
        assert!(history.steps[1].to_string().contains("the number of the beast"));

        // An event that a policy lets pass can't be told from a changed fold: the row is not verified.
        let report = view.verify().await.unwrap();
        assert!(report.is_equal(), "{report}");
        assert_eq!((report.compared, report.unverified_keys), (1, 1));
        let bob = &report.unverified[0];
        assert_eq!((bob.key.as_str(), bob.position), ("bob", Position::new(2)));
        let repair = view.repair(["ann", "bob"]).await.unwrap();
        assert_eq!((repair.repaired.len(), repair.unchanged, repair.unverified.len()), (0, 1, 1));
        worker.stop().await.unwrap();
    }
}
