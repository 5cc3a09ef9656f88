//! How long after the acknowledgement of a command a waiting follower has its event.

use std::time::{Duration, Instant};

use highwater::{Follower, Highwater, PartitionId, Query};
use tokio::sync::mpsc;

use crate::domain::{ACCOUNTS, Account, Deposit};

/// Who writes what a follower waits for.
pub(crate) trait Writer: Send + 'static {
    /// Gives the position of what has been written and acknowledged.
    fn write(&mut self, number: u64) -> impl Future<Output = u64> + Send;
}

/// Up to which position a follower has seen everything, and when it had.
pub(crate) type Seen = (u64, Instant);

/// A writer, and a follower that tells what it has seen.
pub(crate) struct Delivery<W> {
    writer: W,
    seen: mpsc::Receiver<Seen>,
    written: u64,
}

impl<W: Writer> Delivery<W> {
    /// Starts a follower, which is given where to tell.
    pub(crate) fn start<F>(writer: W, follow: impl FnOnce(mpsc::Sender<Seen>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tell, seen) = mpsc::channel(1_024);
        tokio::spawn(follow(tell));
        Self { writer, seen, written: 0 }
    }

    /// So many commands, one after the other, and how long each took to arrive. What was there before
    /// the acknowledgement took no time.
    pub(crate) async fn deliver(mut self, commands: u64) -> (Self, Vec<Duration>) {
        let mut delays = Vec::with_capacity(commands as usize);
        for _ in 0..commands {
            // The follower has caught up and waits.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let wanted = self.writer.write(self.written).await;
            let acknowledged = Instant::now();
            self.written += 1;
            delays.push(self.arrival(wanted).await.saturating_duration_since(acknowledged));
        }
        (self, delays)
    }

    async fn arrival(&mut self, wanted: u64) -> Instant {
        loop {
            let (position, at) = self.seen.recv().await.unwrap();
            if position >= wanted {
                return at;
            }
        }
    }
}

impl Writer for Highwater {
    async fn write(&mut self, number: u64) -> u64 {
        let account = self.aggregate::<Account>(number % ACCOUNTS);
        let receipt = account.execute(Deposit::number(number)).await.unwrap();
        receipt.token().position(PartitionId::LOG).get()
    }
}

/// Highwater's side.
pub(crate) async fn ours(writer: &Highwater, reader: &Highwater) -> Delivery<Highwater> {
    let follower = reader.follow(Query::all(), writer.log().head().await.unwrap());
    Delivery::start(writer.clone(), |tell| follow(follower, tell))
}

async fn follow(mut follower: Follower, tell: mpsc::Sender<Seen>) {
    // It ends with whoever listens.
    while let Some(page) = tokio::select! {
        page = follower.next_page() => Some(page.unwrap()),
        () = tell.closed() => None,
    } {
        let _ = tell.send((page.through.get(), Instant::now())).await;
    }
}
