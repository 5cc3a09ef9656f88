//! Highwater's side of a delivery.

use std::time::Instant;

use highwater::{Highwater, Query, follow::Follower, value::PartitionId};
use highwater_benches::{Delivery, Seen, Writer};
use tokio::sync::mpsc;

use crate::domain::{ACCOUNTS, Account, Deposit};

/// Commands of one client that goes from account to account.
pub(crate) struct Commands(Highwater);

impl Writer for Commands {
    async fn write(&mut self, number: u64) -> u64 {
        let account = self.0.aggregate::<Account>(number % ACCOUNTS);
        let receipt = account.execute(Deposit::number(number)).await.unwrap();
        receipt.token().position(PartitionId::LOG).get()
    }
}

/// Highwater's side.
pub(crate) async fn ours(writer: &Highwater, reader: &Highwater) -> Delivery<Commands> {
    let follower = reader.follow(Query::all(), writer.log().head().await.unwrap());
    Delivery::start(Commands(writer.clone()), |tell| follow(follower, tell))
}

async fn follow(mut follower: Follower, tell: mpsc::Sender<Seen>) {
    // The loop ends when the receiver is dropped.
    while let Some(page) = tokio::select! {
        page = follower.next_page() => Some(page.unwrap()),
        () = tell.closed() => None,
    } {
        let _ = tell.send((page.through.get(), Instant::now())).await;
    }
}
