//! R1, R4: the row that a worker folds on is the one that is stored, and a row that would not be read back is the
//! fault of its event.

use std::time::Duration;

use highwater::{
    Code, Highwater, Token, Views as _,
    prelude::*,
    projection::ParkedKeys,
    worker::{OnFailure, ProjectionState},
};
use highwater_test_support::{bank::banks, ledger::LedgerEvent};

use crate::parking::{move_money, work};

/// A row in which 666 cents lead to infinity, and whatever comes after them stays there.
#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = LedgerEvent, name = "rates")]
struct Rate {
    events: u32,
    highest: Option<f64>,
}

impl Rate {
    fn key(event: &LedgerEvent, _: &Envelope) -> Option<String> {
        customer(event).map(|(customer, _)| customer)
    }

    fn fold(&mut self, event: &LedgerEvent, _: &EventContext<'_>) {
        self.events += 1;
        let rate = customer(event).map_or(0.0, |(_, cents)| 1.0 / (cents - 666) as f64);
        self.highest = Some(self.highest.map_or(rate, |highest| highest.max(rate)));
    }
}

/// A row of doubles with all their bits, which lose cents whenever they are stored.
#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = LedgerEvent, name = "means")]
struct Mean {
    mean: f64,
    #[serde(with = "in_whole_euros")]
    cents: i64,
}

impl Mean {
    fn key(event: &LedgerEvent, _: &Envelope) -> Option<String> {
        customer(event).map(|(customer, _)| customer)
    }

    fn fold(&mut self, event: &LedgerEvent, _: &EventContext<'_>) {
        let cents = customer(event).map_or(0, |(_, cents)| cents);
        self.mean = self.mean / 3.0 + cents as f64;
        self.cents += cents;
    }
}

mod in_whole_euros {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub(super) fn serialize<S: Serializer>(cents: &i64, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_i64(*cents / 100)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        i64::deserialize(from).map(|euros| euros * 100)
    }
}

fn customer(event: &LedgerEvent) -> Option<(String, i64)> {
    match event {
        LedgerEvent::Moved { customer, cents, .. } => Some((customer.clone(), *cents)),
        LedgerEvent::Closed => None,
    }
}

async fn row<V: View + Clone>(bank: &Highwater, key: &str, token: &Token) -> V {
    let row = bank.view::<V>().get(key).after(token).within(Duration::from_secs(30));
    (*row.await.unwrap()).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_row_that_would_not_be_read_back_parks_its_key_and_names_the_field() {
    for store in banks() {
        let bank = store.open().await;
        let worker = work::<Rate>(&bank, OnFailure::Park { at_most: 9 }).await;
        for (who, cents) in [("bob", 667), ("bob", 666), ("bob", 668)] {
            move_money(&bank, who, &[], cents).await;
        }
        let token = move_money(&bank, "ann", &[], 668).await;
        assert_eq!(row::<Rate>(&bank, "ann", &token).await, Rate { events: 1, highest: Some(0.5) });
        assert_eq!(row::<Rate>(&bank, "bob", &token).await, Rate { events: 1, highest: Some(1.0) });
        let parked = ParkedKeys::of(&bank, "rates").unwrap().list(None, 9).await.unwrap();
        let found = (parked.len(), parked[0].key.as_str(), parked[0].queued);
        assert_eq!(found, (1, "bob", 2));
        let expected =
            "HW702: the row \"bob\" of view rates can't be stored: field `highest`: inf is";
        assert!(parked[0].error.starts_with(expected), "{}", parked[0].error);
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_an_event_that_leads_to_such_a_row_is_skipped_or_stops_the_view_by_policy() {
    for store in banks() {
        let bank = store.open().await;
        move_money(&bank, "bob", &[], 667).await;
        let token = move_money(&bank, "bob", &[], 666).await;
        let worker = work::<Rate>(&bank, OnFailure::Stop).await;
        let state = worker.statuses()[0].clone().until(ProjectionState::is_stopped).await;
        let ProjectionState::Stopped { error, .. } = state else { panic!("{state:?}") };
        assert_eq!(error.code(), Code::UNSTORABLE, "{error}");
        let strong = bank.view::<Rate>().get("bob").strong().find().await;
        assert_eq!(strong.unwrap_err().code(), Code::UNSTORABLE);
        worker.stop().await.unwrap_err();

        let worker = work::<Rate>(&bank, OnFailure::Skip).await;
        assert_eq!(row::<Rate>(&bank, "bob", &token).await, Rate { events: 1, highest: Some(1.0) });
        worker.stop().await.unwrap();
    }
}

/// Returns the rows after each of some events, which a worker applies one by one.
async fn rows_one_by_one(bank: &Highwater, restarts: bool) -> Vec<(u64, i64)> {
    let mut worker = work::<Mean>(bank, OnFailure::Stop).await;
    let mut rows = Vec::new();
    for cents in 1..40 {
        let token = move_money(bank, "bob", &[], cents * 7).await;
        let Mean { mean, cents } = row(bank, "bob", &token).await;
        rows.push((mean.to_bits(), cents));
        if restarts {
            worker.stop().await.unwrap();
            worker = work::<Mean>(bank, OnFailure::Stop).await;
        }
    }
    worker.stop().await.unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_rows_of_a_worker_that_is_restarted_are_those_of_one_that_is_not() {
    for (going_on, restarted) in banks().into_iter().zip(banks()) {
        let rows = rows_one_by_one(&going_on.open().await, false).await;
        assert_eq!(rows_one_by_one(&restarted.open().await, true).await, rows);
        let mut mean = 0.0;
        for (index, (bits, _)) in rows.iter().enumerate() {
            mean = mean / 3.0 + ((index + 1) * 7) as f64;
            assert_eq!(*bits, mean.to_bits(), "row {index}");
        }
    }
}
