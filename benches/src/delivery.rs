//! The time from the acknowledgement of a command until a waiting follower has its event.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// A work that reports, for each command, the time from the acknowledgement to the arrival. An event that arrives
/// before the acknowledgement took no time.
pub trait Timed: Send + Sized + 'static {
    /// Runs this many commands.
    fn time(self, commands: u64) -> impl Future<Output = (Self, Timing)> + Send;
}

/// The times of some commands.
#[derive(Debug)]
pub struct Timing {
    /// The time of all commands together, for the harness.
    pub took: Duration,
    /// The time until the arrival of each.
    pub delays: Vec<Duration>,
}

/// A writer of the events that a follower waits for.
pub trait Writer: Send + 'static {
    /// Writes, waits for the acknowledgement, and returns the position of the event.
    fn write(&mut self, number: u64) -> impl Future<Output = u64> + Send;
}

/// The position up to which a follower has seen everything, with its time.
pub type Seen = (u64, Instant);

/// A writer, and a follower that reports the positions it has seen.
pub struct Delivery<W> {
    writer: W,
    seen: mpsc::Receiver<Seen>,
    written: u64,
}

impl<W: Writer> Delivery<W> {
    /// Starts a follower, which reports through the given channel.
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
    /// Runs the commands one after the other.
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
