//! R6: views and keys that can't be compared.

use highwater::{Code, Views as _, prelude::*};
use highwater_test_support::{
    bank::banks,
    ledger::{Ledger, LedgerEvent, Move},
};

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
