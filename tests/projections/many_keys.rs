//! Events that touch many rows.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use highwater::{
    View, Views as _, Worker,
    domain::{FoldError, FoldResult, Keys},
    prelude::*,
    projection::ParkedKeys,
    worker::{OnFailure, ProjectionOptions},
};
use highwater_test_support::{
    bank::banks,
    ledger::{ByPartner, LedgerEvent},
};
use serde::{Deserialize, Serialize};

use crate::parking::move_money;

/// The number of folds so far.
static FOLDS: AtomicUsize = AtomicUsize::new(0);

/// A view by partner that has no row for some of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Choosy {
    events: u64,
}

impl View for Choosy {
    type Event = LedgerEvent;
    const NAME: &'static str = "choosy";

    fn keys(event: &LedgerEvent, _: &Envelope, keys: &mut Keys) {
        if let LedgerEvent::Moved { partners, .. } = event {
            partners.iter().for_each(|partner| keys.push(partner.as_str()));
        }
    }

    fn fold(&mut self, _: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
        FOLDS.fetch_add(1, Ordering::Relaxed);
        if at.key.starts_with("bad") {
            return Err(FoldError::new("a bad partner"));
        }
        self.events += 1;
        Ok(RowChange::Keep)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_many_keys_of_one_event_that_fail_are_decided_on_together() {
    const PARTNERS: usize = 300;

    for store in banks() {
        for policy in [OnFailure::Skip, OnFailure::Park { at_most: PARTNERS }] {
            let bank = store.open().await;
            let partners: Vec<_> = (0..PARTNERS)
                .map(|number| format!("{}{number}", if number % 2 == 0 { "good" } else { "bad" }))
                .collect();
            let partners: Vec<_> = partners.iter().map(String::as_str).collect();
            let before = FOLDS.load(Ordering::Relaxed);
            let token = move_money(&bank, "ann", &partners, 1).await;
            let options = ProjectionOptions::default().on_failure(policy);
            let worker = Worker::new(&bank).view_with::<Choosy>(options).start().await.unwrap();
            let rows = bank.view::<Choosy>().get_many(&partners).after(&token);
            let rows = rows.within(Duration::from_secs(60)).await.unwrap();
            assert_eq!(rows.len(), PARTNERS / 2);
            worker.stop().await.unwrap();
            let folds = FOLDS.load(Ordering::Relaxed) - before;
            assert!(folds <= 3 * PARTNERS, "{folds} folds for {PARTNERS} keys");
            let parked = ParkedKeys::of(&bank, Choosy::NAME).unwrap();
            let parked = parked.list(None, PARTNERS).await.unwrap();
            let expected = if policy == OnFailure::Skip { 0 } else { PARTNERS / 2 };
            assert_eq!(parked.len(), expected);
        }
    }
}

#[tokio::test]
async fn r1_an_event_of_fifty_thousand_keys_is_applied_to_each() {
    const PARTNERS: usize = 50_000;

    for store in banks() {
        let bank = store.open().await;
        let worker = Worker::new(&bank).view::<ByPartner>().start().await.unwrap();
        let partners: Vec<_> = (0..PARTNERS).map(|number| format!("good{number}")).collect();
        let partners: Vec<_> = partners.iter().map(String::as_str).collect();
        let token = move_money(&bank, "ann", &partners, 1).await;
        for key in [partners[0], partners[PARTNERS - 1]] {
            let row = bank.view::<ByPartner>().get(key).after(&token);
            assert_eq!(row.within(Duration::from_secs(60)).await.unwrap().0.events, 1);
        }
        worker.stop().await.unwrap();
    }
}
