//! How far behind the log shards are. A shard knows where it is; where the log ends is looked up now
//! and then, once for all the shards of a worker.

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

/// How often lags are looked at. Whoever collects metrics asks less often.
const INTERVAL: Duration = Duration::from_secs(2);

/// The shards whose lags are looked at.
#[derive(Default)]
pub(crate) struct Lags(Mutex<Vec<Weak<Standing>>>);

impl Lags {
    /// Looks at this one from now on, for as long as somebody keeps it.
    pub(crate) fn watch(&self, standing: &Arc<Standing>) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|standing| standing.strong_count() > 0);
        watched.push(Arc::downgrade(standing));
    }

    /// Looks for ever. A log that can't be reached leaves the lags by events as they were.
    pub(crate) async fn look(&self, log: &dyn EventStore, clock: &dyn Clock) {
        loop {
            self.look_once(log, clock).await;
            // Not the clock of the port: the moments at which metrics are looked at decide on nothing.
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn look_once(&self, log: &dyn EventStore, clock: &dyn Clock) {
        if self.watched().is_empty() {
            return;
        }
        let now = clock.now();
        match log.head().await {
            Ok(head) => self.watched().iter().for_each(|standing| standing.tell(head, now)),
            Err(error) => {
                tracing::debug!(%error, "the end of the log is not known; lags stay as they were");
            }
        }
    }

    fn watched(&self) -> Vec<Arc<Standing>> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Where something that follows the log is.
pub(crate) struct Standing {
    position: AtomicU64,
    /// In milliseconds since the epoch: everything recorded until then has had its effect.
    as_of: AtomicI64,
    is_left: AtomicBool,
    events: Gauge,
    seconds: Gauge,
}

impl Standing {
    pub(crate) fn new(events: Gauge, seconds: Gauge) -> Self {
        let (position, as_of, is_left) =
            (AtomicU64::default(), AtomicI64::default(), AtomicBool::default());
        Self { position, as_of, is_left, events, seconds }
    }

    /// It has come this far.
    pub(crate) fn is_at(&self, progress: &Progress) {
        self.as_of.fetch_max(progress.as_of.as_millisecond(), Relaxed);
        self.position.store(progress.position.get(), Relaxed);
    }

    /// Somebody else goes on with it, or nobody.
    pub(crate) fn is_left(&self) {
        self.is_left.store(true, Relaxed);
        self.events.set(0.0);
        self.seconds.set(0.0);
    }

    /// Tells how far behind it is, now that the log ends here. Whoever has everything is as of now: the
    /// time of the last event says nothing about the next.
    pub(crate) fn tell(&self, head: Position, now: Timestamp) {
        if self.is_left.load(Relaxed) {
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

    fn standing() -> (Standing, Snapshotter) {
        let recorder = DebuggingRecorder::new();
        let of = &["balances", "0"];
        let standing = ::metrics::with_local_recorder(&recorder, || {
            Standing::new(LAG_EVENTS.level(of), LAG_SECONDS.level(of))
        });
        (standing, recorder.snapshotter())
    }

    /// A snapshot takes what it tells away.
    fn told(snapshotter: &Snapshotter) -> (f64, f64) {
        let metrics = snapshotter.snapshot().into_vec();
        let value = |name: &str| {
            let found = metrics.iter().find(|(key, ..)| key.key().name() == name).unwrap();
            let DebugValue::Gauge(value) = found.3 else { panic!("{name} is no gauge") };
            value.into_inner()
        };
        (value(LAG_EVENTS.name), value(LAG_SECONDS.name))
    }

    fn at(position: u64, second: i64) -> Progress {
        let (position, as_of) = (Position::new(position), time(second));
        Progress { position, as_of, ..Progress::default() }
    }

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn o2_lag_is_told_in_events_and_in_time() {
        let (standing, told_by) = standing();
        standing.is_at(&at(7, 100));
        standing.tell(Position::new(10), time(130));
        assert_eq!(told(&told_by), (3.0, 30.0));
    }

    #[test]
    fn o2_an_event_after_a_long_rest_is_not_late_by_the_rest() {
        let (standing, told_by) = standing();
        standing.is_at(&at(7, 100));
        standing.tell(Position::new(7), time(5_000));
        assert_eq!(told(&told_by), (0.0, 0.0));
        standing.tell(Position::new(8), time(5_002));
        assert_eq!(told(&told_by), (1.0, 2.0));
    }

    #[test]
    fn o2_what_is_held_no_longer_has_no_lag_here() {
        let (standing, told_by) = standing();
        standing.is_at(&at(7, 100));
        standing.tell(Position::new(10), time(130));
        standing.is_left();
        standing.tell(Position::new(11), time(131));
        assert_eq!(told(&told_by), (0.0, 0.0));
    }
}
