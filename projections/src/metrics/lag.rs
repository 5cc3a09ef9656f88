//! The lag of shards behind the log. A shard knows its position; the head of the log is read periodically,
//! once for all shards of a worker.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use ::metrics::Gauge;
use highwater_core::{
    Position,
    port::{Clock, EventStore, Progress},
};
use jiff::Timestamp;

/// The interval at which lags are measured. Collectors of metrics scrape less often.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);

/// Measures the lags of shards.
#[derive(Default)]
pub(crate) struct LagMonitor(Mutex<Vec<Weak<ShardLag>>>);

impl LagMonitor {
    /// Measures this lag from now on, until it is dropped.
    pub(crate) fn watch(&self, lag: &Arc<ShardLag>) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|lag| lag.strong_count() > 0);
        watched.push(Arc::downgrade(lag));
    }

    /// Measures for ever. If the log can't be reached, the lags stay as they were.
    pub(crate) async fn run(&self, log: &dyn EventStore, clock: &dyn Clock) {
        loop {
            self.measure(log, clock).await;
            // Not the clock of the port: no decision depends on the times of measurements.
            tokio::time::sleep(MEASURE_INTERVAL).await;
        }
    }

    async fn measure(&self, log: &dyn EventStore, clock: &dyn Clock) {
        if self.watched().is_empty() {
            return;
        }
        let now = clock.now();
        match log.head().await {
            Ok(head) => self.watched().iter().for_each(|lag| lag.measure(head, now)),
            Err(error) => {
                tracing::debug!(%error, "the head of the log could not be read; lags stay as they were");
            }
        }
    }

    fn watched(&self) -> Vec<Arc<ShardLag>> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.iter().filter_map(Weak::upgrade).collect()
    }
}

/// The lag of a shard, or of a relay, behind the log.
pub(crate) struct ShardLag {
    position: AtomicU64,
    /// In milliseconds since the epoch: every event recorded until then has been applied.
    as_of: AtomicI64,
    is_released: AtomicBool,
    events: Gauge,
    seconds: Gauge,
}

impl ShardLag {
    pub(crate) fn new(events: Gauge, seconds: Gauge) -> Self {
        Self {
            position: AtomicU64::default(),
            as_of: AtomicI64::default(),
            is_released: AtomicBool::default(),
            events,
            seconds,
        }
    }

    /// Notes the progress of the shard.
    pub(crate) fn advanced(&self, progress: &Progress) {
        self.as_of.fetch_max(progress.as_of.as_millisecond(), Relaxed);
        self.position.store(progress.position.get(), Relaxed);
    }

    /// Notes that this process doesn't work on the shard any more: its lag is 0 here.
    pub(crate) fn released(&self) {
        self.is_released.store(true, Relaxed);
        self.events.set(0.0);
        self.seconds.set(0.0);
    }

    /// Sets the gauges, given the head of the log. A shard that has every event is as of now: the time of
    /// the last event says nothing about the next.
    pub(crate) fn measure(&self, head: Position, now: Timestamp) {
        if self.is_released.load(Relaxed) {
            return;
        }
        let behind = head.get().saturating_sub(self.position.load(Relaxed));
        let now = now.as_millisecond();
        let as_of = match behind {
            0 => self.as_of.fetch_max(now, Relaxed).max(now),
            _ => self.as_of.load(Relaxed),
        };
        let late = (now - as_of).max(0) as f64 / 1_000.0;
        self.events.set(behind as f64);
        self.seconds.set(if behind == 0 { 0.0 } else { late });
    }
}

#[cfg(test)]
mod tests {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;
    use crate::metrics::{LAG_EVENTS, LAG_SECONDS};

    fn shard_lag() -> (ShardLag, Snapshotter) {
        let recorder = DebuggingRecorder::new();
        let labels = &["balances", "0"];
        let lag = ::metrics::with_local_recorder(&recorder, || {
            ShardLag::new(LAG_EVENTS.level(labels), LAG_SECONDS.level(labels))
        });
        (lag, recorder.snapshotter())
    }

    /// Returns the gauges: lag in events and in seconds. A snapshot resets the recorder.
    fn measured(snapshotter: &Snapshotter) -> (f64, f64) {
        let metrics = snapshotter.snapshot().into_vec();
        let value = |name: &str| {
            let found = metrics.iter().find(|(key, ..)| key.key().name() == name).unwrap();
            let DebugValue::Gauge(value) = found.3 else { panic!("{name} is no gauge") };
            value.into_inner()
        };
        (value(LAG_EVENTS.name), value(LAG_SECONDS.name))
    }

    fn at(position: u64, second: i64) -> Progress {
        Progress { position: Position::new(position), as_of: time(second), ..Progress::default() }
    }

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn o2_lag_is_measured_in_events_and_in_time() {
        let (lag, snapshotter) = shard_lag();
        lag.advanced(&at(7, 100));
        lag.measure(Position::new(10), time(130));
        assert_eq!(measured(&snapshotter), (3.0, 30.0));
    }

    #[test]
    fn o2_an_event_after_an_idle_time_is_not_late_by_the_idle_time() {
        let (lag, snapshotter) = shard_lag();
        lag.advanced(&at(7, 100));
        lag.measure(Position::new(7), time(5_000));
        assert_eq!(measured(&snapshotter), (0.0, 0.0));
        lag.measure(Position::new(8), time(5_002));
        assert_eq!(measured(&snapshotter), (1.0, 2.0));
    }

    #[test]
    fn o2_a_released_shard_has_no_lag() {
        let (lag, snapshotter) = shard_lag();
        lag.advanced(&at(7, 100));
        lag.measure(Position::new(10), time(130));
        lag.released();
        lag.measure(Position::new(11), time(131));
        assert_eq!(measured(&snapshotter), (0.0, 0.0));
    }
}
