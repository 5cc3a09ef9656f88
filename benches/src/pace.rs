//! Commands at a fixed rate, and the time from each acknowledgement until a reader sees the event.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use crate::delivery::{Timed, Timing};

/// The place of an event: a lane, and a position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    pub lane: u64,
    pub position: u64,
}

#[derive(Debug, Default)]
struct Lane {
    /// The positions seen so far, with their times.
    seen: Vec<(u64, Instant)>,
    waiting: BTreeMap<u64, Vec<oneshot::Sender<Instant>>>,
}

impl Lane {
    fn when(&self, position: u64) -> Option<Instant> {
        let place = self.seen.partition_point(|(seen, _)| *seen < position);
        self.seen.get(place).map(|(_, at)| *at)
    }
}

/// The record of a reader: the positions seen in each lane.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<HashMap<u64, Lane>>>);

impl Board {
    pub fn sees(&self, spots: impl IntoIterator<Item = Spot>) {
        let now = Instant::now();
        let mut lanes = self.0.lock().unwrap();
        for Spot { lane, position } in spots {
            let lane = lanes.entry(lane).or_default();
            if lane.seen.last().is_none_or(|(last, _)| *last < position) {
                lane.seen.push((position, now));
                let later = lane.waiting.split_off(&(position + 1));
                let reached = std::mem::replace(&mut lane.waiting, later);
                for waiter in reached.into_values().flatten() {
                    let _ = waiter.send(now);
                }
            }
        }
    }

    /// Waits until the reader has seen the place, and returns when that was.
    pub async fn when(&self, spot: Spot) -> Instant {
        let (tell, told) = oneshot::channel();
        {
            let mut lanes = self.0.lock().unwrap();
            let lane = lanes.entry(spot.lane).or_default();
            if let Some(at) = lane.when(spot.position) {
                return at;
            }
            lane.waiting.entry(spot.position).or_default().push(tell);
        }
        told.await.unwrap()
    }
}

/// A writer that runs many commands concurrently.
pub trait Paced: Send + Sync + 'static {
    /// Writes, waits for the acknowledgement, and returns the place at which a reader will see the event.
    fn write(&self, number: u64) -> impl Future<Output = Spot> + Send;
}

/// A writer that runs many commands concurrently and reads each result.
pub trait Asked: Send + Sync + 'static {
    /// Writes, reads the result, and returns the time from the acknowledgement to the result of the read.
    fn write_and_ask(&self, number: u64) -> impl Future<Output = Duration> + Send;
}

/// Starts commands at a fixed rate, whether or not the earlier ones have ended.
struct Rate {
    per_second: u32,
    begun: u64,
}

impl Rate {
    const fn of(per_second: u32) -> Self {
        Self { per_second, begun: 0 }
    }

    /// Runs at the pace for a number of quarters of a second; each counts as one repetition. Returns the result of each
    /// command, and the total time.
    async fn keep<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &mut self,
        quarters: u64,
        command: impl Fn(u64) -> F,
    ) -> (Vec<T>, Duration) {
        let commands = quarters * u64::from(self.per_second) / 4;
        let (began, mut running) = (Instant::now(), JoinSet::new());
        for number in 0..commands {
            let due = Duration::from_secs(1) * number as u32 / self.per_second;
            tokio::time::sleep_until((began + due).into()).await;
            running.spawn(command(self.begun));
            self.begun += 1;
        }
        (running.join_all().await, began.elapsed())
    }
}

/// A writer at a fixed rate, and a reader of its events.
pub struct Pace<W> {
    writer: Arc<W>,
    board: Board,
    reader: JoinHandle<()>,
    rate: Rate,
}

impl<W: Paced> Pace<W> {
    pub fn start(
        per_second: u32,
        writer: W,
        board: &Board,
        reading: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let (writer, reader) = (Arc::new(writer), tokio::spawn(reading));
        Self { writer, board: board.clone(), reader, rate: Rate::of(per_second) }
    }
}

impl<W> Drop for Pace<W> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl<W: Paced> Timed for Pace<W> {
    async fn time(mut self, quarters: u64) -> (Self, Timing) {
        let writer = &self.writer;
        let write = |number| {
            let writer = Arc::clone(writer);
            async move { (writer.write(number).await, Instant::now()) }
        };
        let (acknowledged, took) = self.rate.keep(quarters, write).await;
        let mut delays = Vec::with_capacity(acknowledged.len());
        for (spot, at) in acknowledged {
            delays.push(self.board.when(spot).await.saturating_duration_since(at));
        }
        (self, Timing { took, delays })
    }
}

/// A writer at a fixed rate that reads the result of each command as soon as it is acknowledged.
pub struct Asking<A> {
    asked: Arc<A>,
    behind: JoinHandle<()>,
    rate: Rate,
}

impl<A: Asked> Asking<A> {
    /// Starts the background work `behind`, which runs until this is dropped.
    pub fn start(
        per_second: u32,
        asked: A,
        behind: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let (asked, behind) = (Arc::new(asked), tokio::spawn(behind));
        Self { asked, behind, rate: Rate::of(per_second) }
    }
}

impl<A> Drop for Asking<A> {
    fn drop(&mut self) {
        self.behind.abort();
    }
}

impl<A: Asked> Timed for Asking<A> {
    async fn time(mut self, quarters: u64) -> (Self, Timing) {
        let asked = &self.asked;
        let ask = |number| {
            let asked = Arc::clone(asked);
            async move { asked.write_and_ask(number).await }
        };
        let (delays, took) = self.rate.keep(quarters, ask).await;
        (self, Timing { took, delays })
    }
}
