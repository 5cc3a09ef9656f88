//! R6: views and keys that can't be compared.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use highwater::{
    Code, Position, Views as _,
    prelude::*,
    worker::{OnDrift, ProjectionOptions},
};
use highwater_test_support::{
    bank::banks,
    ledger::{Ledger, LedgerEvent, Move},
};

use tokio::time::sleep;

use crate::found::assert_equal;

/// The program that folded the view.
mod before {
    use super::*;

    #[derive(View, Default, Clone, Debug)]
    #[view(event = LedgerEvent, name = "totals", by_stream = Ledger)]
    pub(crate) struct Total {
        pub(crate) cents: i64,
    }

    impl Total {
        fn fold(&mut self, event: &LedgerEvent, _: &Envelope) {
            if let LedgerEvent::Moved { cents, .. } = event {
                self.cents += cents;
            }
        }
    }
}

/// A program whose row has another field.
mod after {
    use super::*;

    #[derive(View, Default, Clone, Debug)]
    #[view(event = LedgerEvent, name = "totals", by_stream = Ledger)]
    pub(crate) struct Total {
        pub(crate) cents: i64,
        pub(crate) events: u64,
    }

    impl Total {
        fn fold(&mut self, _: &LedgerEvent, _: &Envelope) {
            self.events += 1;
        }
    }
}

/// A program whose fold is another one, which no definition shows.
mod changed {
    use super::*;

    #[derive(View, Default, Clone, Debug)]
    #[view(event = LedgerEvent, name = "totals", by_stream = Ledger)]
    pub(crate) struct Total {
        pub(crate) cents: i64,
    }

    impl Total {
        fn fold(&mut self, event: &LedgerEvent, _: &Envelope) {
            if let LedgerEvent::Moved { cents, .. } = event {
                self.cents += cents * 2;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_rows_of_another_program_are_refused_and_those_of_a_changed_fold_are_drift() {
    for store in banks() {
        let bank = store.open().await;
        let worker = Worker::new(&bank).view::<before::Total>().start().await.unwrap();
        let step = Move { customer: "bob".to_owned(), partners: Vec::new(), cents: 5 };
        let receipt = bank.aggregate::<Ledger>("a1").execute(step).await.unwrap();
        bank.view::<before::Total>().get("a1").after(&receipt).await.unwrap();
        assert_equal(&bank.view::<before::Total>().verify().await.unwrap());
        let other = bank.view::<after::Total>();
        assert_eq!(other.verify().await.unwrap_err().code(), Code::OTHER_DEFINITION);
        assert_eq!(other.repair(["a1"]).await.unwrap_err().code(), Code::OTHER_DEFINITION);
        assert_eq!(other.why("a1").await.unwrap_err().code(), Code::OTHER_DEFINITION);
        let row = bank.view::<before::Total>().get("a1").await.unwrap();
        assert_eq!(row.cents, 5);

        let report = bank.view::<changed::Total>().verify().await.unwrap();
        assert_eq!((report.drifted, report.compared), (1, 1), "{report}");
        worker.stop().await.unwrap();
    }
}

/// True while the program can't say the key of a movement of seven cents.
static IS_BROKEN: AtomicBool = AtomicBool::new(false);

#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = LedgerEvent, name = "by_sign")]
struct BySign {
    cents: i64,
}

impl BySign {
    fn key(event: &LedgerEvent, _: &Envelope) -> Option<&'static str> {
        let LedgerEvent::Moved { cents, .. } = event else { return None };
        assert!(*cents != 7 || !IS_BROKEN.load(Ordering::Relaxed), "seven is no number");
        Some(if *cents < 0 { "less" } else { "more" })
    }

    fn fold(&mut self, event: &LedgerEvent, _: &Envelope) {
        if let LedgerEvent::Moved { cents, .. } = event {
            self.cents += cents;
        }
    }
}

/// A release breaks the code that reads old events. The rows have them, and must keep them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_row_with_an_event_that_can_not_be_read_any_more_is_not_written_without_it() {
    for store in banks() {
        IS_BROKEN.store(false, Ordering::Relaxed);
        let bank = store.open().await;
        let moved = async |cents: i64| {
            let movement = Move { customer: "bob".to_owned(), partners: Vec::new(), cents };
            bank.aggregate::<Ledger>("a").execute(movement).await.unwrap()
        };
        moved(7).await;
        let receipt = moved(5).await;
        let worker = Worker::new(&bank).view::<BySign>().start().await.unwrap();
        let view = bank.view::<BySign>();
        assert_eq!(view.get("more").after(&receipt).await.unwrap().cents, 12);
        worker.stop().await.unwrap();

        IS_BROKEN.store(true, Ordering::Relaxed);
        let report = view.repair(["more"]).await.unwrap();
        assert!(report.repaired.is_empty(), "{report:?}");
        assert_eq!(report.unverified[0].position, Position::new(1), "{report:?}");
        let options = ProjectionOptions::default()
            .audited_within(Duration::from_millis(100))
            .on_drift(OnDrift::Repair);
        let worker = Worker::new(&bank).view_with::<BySign>(options).start().await.unwrap();
        let status = &worker.statuses()[0];
        let until = Instant::now() + Duration::from_secs(60);
        while status.audit().found < 3 {
            assert!(Instant::now() < until, "{:?}", status.audit());
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!((status.audit().repaired, status.audit().drifted), (0, vec!["more".to_owned()]));
        assert_eq!(view.get("more").await.unwrap().cents, 12);
        worker.stop().await.unwrap();
    }
}
