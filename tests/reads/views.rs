//! Views of the bank: one by stream, and one by amount, whose events come from many streams.

use highwater::{
    Highwater, Receipt, View, Views as _, Worker,
    domain::{FoldError, FoldResult, Keys},
    prelude::*,
    worker::{OnFailure, ProjectionOptions, WorkerHandle},
};
use highwater_test_support::bank::{Account, AccountEvent, Deposit};
use serde::{Deserialize, Serialize};

/// A view by amount, so that events of one key come from many streams, and an event may have no
/// key. It fails at 666 cents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parity {
    pub(crate) cents: i64,
    pub(crate) events: u64,
}

impl View for Parity {
    type Event = AccountEvent;
    const NAME: &'static str = "parity";

    fn keys(event: &AccountEvent, _: &Envelope, keys: &mut Keys) {
        if let AccountEvent::Deposited { cents } = event {
            keys.push(if cents % 2 == 0 { "even" } else { "odd" });
        }
    }

    fn fold(&mut self, event: &AccountEvent, _: &EventContext<'_>) -> FoldResult {
        if let AccountEvent::Deposited { cents } = event {
            if *cents == 666 {
                return Err(FoldError::new("the number of the beast"));
            }
            self.cents += cents;
            self.events += 1;
        }
        Ok(RowChange::Keep)
    }
}

pub(crate) async fn deposit(bank: &Highwater, account: &str, cents: i64) -> Receipt {
    bank.aggregate::<Account>(account).execute(Deposit { cents }).await.unwrap()
}

pub(crate) async fn work<V: View>(bank: &Highwater) -> WorkerHandle {
    let park = OnFailure::Park { at_most: 10 };
    let options = ProjectionOptions::default().shards(3).on_failure(park);
    Worker::new(bank).view_with::<V>(options).start().await.unwrap()
}

/// Runs a worker until the view has applied all events, and stops it.
pub(crate) async fn work_until<V: View>(bank: &Highwater, receipt: &Receipt) {
    let worker = work::<V>(bank).await;
    // A range requires that every shard has reached the position.
    bank.view::<V>().range("".., 1).after(receipt).await.unwrap();
    worker.stop().await.unwrap();
}
