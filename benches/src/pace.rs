//! Commands at a fixed rate, and how long after its acknowledgement a reader sees each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::task::{JoinHandle, JoinSet};

use crate::delivery::{Timed, Timing};

/// Where something is to be seen: a lane, and a position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    pub lane: u64,
    pub position: u64,
}

/// Up to which positions a lane has been seen, and when.
type Sights = Vec<(u64, Instant)>;

/// Where a reader notes what it has seen of each lane.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<HashMap<u64, Sights>>>);

impl Board {
    pub fn sees(&self, spots: impl IntoIterator<Item = Spot>) {
        let now = Instant::now();
        let mut lanes = self.0.lock().unwrap();
        for Spot { lane, position } in spots {
            let seen = lanes.entry(lane).or_default();
            if seen.last().is_none_or(|(last, _)| *last < position) {
                seen.push((position, now));
            }
        }
    }

    async fn when(&self, spot: Spot) -> Instant {
        loop {
            let seen = self.0.lock().unwrap().get(&spot.lane).and_then(|seen| {
                let place = seen.partition_point(|(position, _)| *position < spot.position);
                seen.get(place).map(|(_, at)| *at)
            });
            match seen {
                Some(at) => return at,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

/// Who writes, many at once.
pub trait Paced: Send + Sync + 'static {
    /// Says where what has been written and acknowledged will be seen.
    fn write(&self, number: u64) -> impl Future<Output = Spot> + Send;
}

/// Writes at a fixed rate, whether or not the ones before are done, and a reader that sees them. What
/// counts as once is a quarter of a second of it.
pub struct Pace<W> {
    writer: Arc<W>,
    board: Board,
    reader: JoinHandle<()>,
    per_second: u32,
    written: u64,
}

impl<W: Paced> Pace<W> {
    pub fn start(
        per_second: u32,
        writer: W,
        board: &Board,
        reading: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let (writer, reader) = (Arc::new(writer), tokio::spawn(reading));
        Self { writer, board: board.clone(), reader, per_second, written: 0 }
    }
}

impl<W> Drop for Pace<W> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl<W: Paced> Timed for Pace<W> {
    async fn time(mut self, quarters: u64) -> (Self, Timing) {
        let commands = quarters * u64::from(self.per_second) / 4;
        let began = Instant::now();
        let mut writes = JoinSet::new();
        for number in 0..commands {
            let due = Duration::from_secs(1) * number as u32 / self.per_second;
            tokio::time::sleep_until((began + due).into()).await;
            let (writer, number) = (Arc::clone(&self.writer), self.written);
            self.written += 1;
            writes.spawn(async move { (writer.write(number).await, Instant::now()) });
        }
        let acknowledged = writes.join_all().await;
        let took = began.elapsed();
        let mut delays = Vec::with_capacity(acknowledged.len());
        for (spot, at) in acknowledged {
            delays.push(self.board.when(spot).await.saturating_duration_since(at));
        }
        (self, Timing { took, delays })
    }
}
