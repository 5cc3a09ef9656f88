//! The visibility of an append over several streams.

use highwater::{Views as _, Worker, prelude::*, worker::ProjectionOptions};
use highwater_test_support::{
    bank::banks,
    ledger::{Ledger, LedgerEvent, Move},
};

/// The sum of all accounts, which is zero, because every movement has a counterpart.
#[derive(View, Debug, Clone, Default, PartialEq)]
#[view(event = LedgerEvent)]
struct Total {
    cents: i64,
    events: u64,
}

impl Total {
    fn key(_: &LedgerEvent, _: &Envelope) -> &'static str {
        "all"
    }

    fn fold(&mut self, event: &LedgerEvent, _: &Envelope) {
        if let LedgerEvent::Moved { cents, .. } = event {
            self.cents += cents;
            self.events += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_append_over_streams_is_visible_whole_in_a_view_of_one_shard_at_any_batch_size() {
    for store in banks() {
        let bank = store.open().await;
        let step = |cents| Move { customer: "c".to_owned(), partners: Vec::new(), cents };
        for round in 1..=60 {
            let both = bank.atomically().on::<Ledger, _>("a", step(round));
            both.on::<Ledger, _>("b", step(-round)).execute().await.unwrap();
        }
        let options = ProjectionOptions::default().batch(3);
        let worker = Worker::new(&bank).view_with::<Total>(options).start().await.unwrap();
        loop {
            let Some(total) = bank.view::<Total>().get("all").find().await.unwrap().into_value()
            else {
                continue;
            };
            assert_eq!(total.cents, 0, "after {} events", total.events);
            if total.events == 120 {
                break;
            }
        }
        worker.stop().await.unwrap();
    }
}
