//! The lag of shards behind the log. A shard knows its position; the head of the log is read periodically,
//! once for all shards of a worker.

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
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
pub(crate) const MEASURE_INTERVAL: Duration = Duration::from_secs(2);

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
    /// The number of [`MeasuredLag`]s.
    holders: AtomicUsize,
    events: Gauge,
    seconds: Gauge,
}

/// A lag that is measured until this is dropped. Afterwards it is 0 here, unless another part of the process measures
/// it, too.
pub(crate) struct MeasuredLag(Arc<ShardLag>);

impl MeasuredLag {
    pub(crate) fn of(lag: &Arc<ShardLag>) -> Self {
        lag.holders.fetch_add(1, Relaxed);
        Self(Arc::clone(lag))
    }
}

impl Deref for MeasuredLag {
    type Target = ShardLag;

    fn deref(&self) -> &ShardLag {
        &self.0
    }
}

impl Drop for MeasuredLag {
    fn drop(&mut self) {
        if self.holders.fetch_sub(1, Relaxed) == 1 {
            self.events.set(0.0);
            self.seconds.set(0.0);
        }
    }
}

impl ShardLag {
    pub(crate) fn new(events: Gauge, seconds: Gauge) -> Self {
        Self {
            position: AtomicU64::default(),
            as_of: AtomicI64::default(),
            holders: AtomicUsize::default(),
            events,
            seconds,
        }
    }

    /// Notes the progress of the shard.
    pub(crate) fn advanced(&self, progress: &Progress) {
        self.as_of.fetch_max(progress.as_of.as_millisecond(), Relaxed);
        self.position.store(progress.position.get(), Relaxed);
    }

    /// Sets the gauges, given the head of the log. A shard that has every event is as of now: the time of
    /// the last event says nothing about the next. A time that lies ahead is of a clock that has been set back since:
    /// the lag counts from now on.
    pub(crate) fn measure(&self, head: Position, now: Timestamp) {
        if self.holders.load(Relaxed) == 0 {
            return;
        }
        let behind = head.get().saturating_sub(self.position.load(Relaxed));
        let now = now.as_millisecond();
        if behind == 0 {
            self.as_of.store(now, Relaxed);
        }
        let as_of = self.as_of.fetch_min(now, Relaxed).min(now);
        self.events.set(behind as f64);
        self.seconds.set((now - as_of) as f64 / 1_000.0);
    }
}

#[cfg(test)]
mod tests {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;
    use crate::metrics::{LAG_EVENTS, LAG_SECONDS};

    fn shard_lag() -> (MeasuredLag, Snapshotter) {
        let recorder = DebuggingRecorder::new();
        let labels = &["balances", "0"];
        let lag = ::metrics::with_local_recorder(&recorder, || {
            ShardLag::new(LAG_EVENTS.level(labels), LAG_SECONDS.level(labels))
        });
        (MeasuredLag::of(&Arc::new(lag)), recorder.snapshotter())
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
        let known = Arc::clone(&lag.0);
        drop(lag);
        known.measure(Position::new(11), time(131));
        assert_eq!(measured(&snapshotter), (0.0, 0.0));
        // It is measured again from the time that was known.
        let again = MeasuredLag::of(&known);
        again.measure(Position::new(11), time(132));
        assert_eq!(measured(&snapshotter), (4.0, 32.0));
    }

    #[test]
    fn o2_after_a_clock_was_set_back_lag_counts_from_then_on() {
        let (lag, snapshotter) = shard_lag();
        lag.advanced(&at(7, 3_700));
        lag.measure(Position::new(7), time(3_700));
        lag.measure(Position::new(8), time(102));
        assert_eq!(measured(&snapshotter), (1.0, 0.0));
        lag.measure(Position::new(9), time(104));
        assert_eq!(measured(&snapshotter), (2.0, 2.0));
    }
}
