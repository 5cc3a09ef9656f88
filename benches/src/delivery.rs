//! The time from the acknowledgement of a command until a waiting follower has its event.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Work that says how long each of its commands took to arrive after it had been acknowledged. What
/// was there before took no time.
pub trait Timed: Send + Sized + 'static {
    /// So many commands.
    fn time(self, commands: u64) -> impl Future<Output = (Self, Timing)> + Send;
}

/// The times of some commands.
#[derive(Debug)]
pub struct Timing {
    /// All of them, as the harness counts time.
    pub took: Duration,
    /// To arrive, each.
    pub delays: Vec<Duration>,
}

/// A writer of the events that a follower waits for.
pub trait Writer: Send + 'static {
    /// Gives the position of what has been written and acknowledged.
    fn write(&mut self, number: u64) -> impl Future<Output = u64> + Send;
}

/// The position up to which a follower has seen everything, with its time.
pub type Seen = (u64, Instant);

/// A writer, and a follower that tells what it has seen.
pub struct Delivery<W> {
    writer: W,
    seen: mpsc::Receiver<Seen>,
    written: u64,
}

impl<W: Writer> Delivery<W> {
    /// Starts a follower, which is given where to tell.
    pub fn start<F>(writer: W, follow: impl FnOnce(mpsc::Sender<Seen>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tell, seen) = mpsc::channel(1_024);
        tokio::spawn(follow(tell));
        Self { writer, seen, written: 0 }
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

impl<W: Writer> Timed for Delivery<W> {
    /// One after the other.
    async fn time(mut self, commands: u64) -> (Self, Timing) {
        let mut delays = Vec::with_capacity(commands as usize);
        for _ in 0..commands {
            // The follower has caught up and waits.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let wanted = self.writer.write(self.written).await;
            let acknowledged = Instant::now();
            self.written += 1;
            delays.push(self.arrival(wanted).await.saturating_duration_since(acknowledged));
        }
        (self, Timing { took: delays.iter().sum(), delays })
    }
}
