//! The handles of a projection, and of the shards that this process holds.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::metrics::{Counter, Gauge, Histogram};
use highwater_core::{port::Progress, value::ShardId};

use super::{
    BATCH, COMMIT_DURATION, DUPLICATES, EVENTS, FENCED, LAG_EVENTS, LAG_SECONDS, LagMonitor,
    PARKED, PARKED_KEYS, POSITION, SHARDS, SHARDS_HELD, SKIPPED,
    lag::{MeasuredLag, ShardLag},
};

/// The metrics of a projection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ProjectionMetrics(Arc<ProjectionHandles>);

pub(crate) struct ProjectionHandles {
    projection: String,
    monitor: Arc<LagMonitor>,
    /// The lags of the shards that this process has held, which know since when each has been behind.
    lags: Mutex<BTreeMap<ShardId, Arc<ShardLag>>>,
    events: Counter,
    batch: Histogram,
    commits: Histogram,
    shards: Gauge,
    held: Gauge,
    /// Events that were repeated.
    pub(crate) duplicates: Counter,
    /// Times that a key was parked.
    pub(crate) parked: Counter,
    /// Effects that were skipped.
    pub(crate) skipped: Counter,
    /// Shards that were lost to another worker.
    pub(crate) fenced: Counter,
}

impl Deref for ProjectionMetrics {
    type Target = ProjectionHandles;

    fn deref(&self) -> &ProjectionHandles {
        &self.0
    }
}

impl ProjectionMetrics {
    /// Creates the metrics of the projection of this name, whose shards' lags `monitor` measures.
    pub(crate) fn new(projection: &str, monitor: &Arc<LagMonitor>) -> Self {
        let labels = &[projection];
        Self(Arc::new(ProjectionHandles {
            projection: projection.to_owned(),
            monitor: Arc::clone(monitor),
            lags: Mutex::default(),
            events: EVENTS.count(labels),
            batch: BATCH.distribution(labels),
            commits: COMMIT_DURATION.distribution(labels),
            shards: SHARDS.level(labels),
            held: SHARDS_HELD.level(labels),
            duplicates: DUPLICATES.count(labels),
            parked: PARKED.count(labels),
            skipped: SKIPPED.count(labels),
            fenced: FENCED.count(labels),
        }))
    }

    /// Sets the number of shards of the projection.
    pub(crate) fn sharded(&self, shards: u32) {
        self.shards.set(shards);
    }

    /// Measures a shard that this process holds, until the returned value is dropped.
    pub(crate) fn hold(&self, shard: ShardId, from: &Progress) -> ShardMetrics {
        let labels = &[self.projection.as_str(), &shard.to_string()];
        self.held.increment(1.0);
        let held = ShardMetrics {
            projection: self.clone(),
            lag: self.lag(shard),
            position: POSITION.level(labels),
            parked: PARKED_KEYS.level(labels),
        };
        held.advanced(from);
        held
    }
}

impl ProjectionMetrics {
    /// Measures the lag of a shard until the returned value is dropped.
    pub(crate) fn lag(&self, shard: ShardId) -> MeasuredLag {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = lags.entry(shard).or_insert_with(|| {
            let labels = &[self.projection.as_str(), &shard.to_string()];
            let lag = Arc::new(ShardLag::new(LAG_EVENTS.level(labels), LAG_SECONDS.level(labels)));
            self.monitor.watch(&lag);
            lag
        });
        MeasuredLag::of(lag)
    }
}

/// The metrics of a shard that this process holds.
pub(crate) struct ShardMetrics {
    projection: ProjectionMetrics,
    lag: MeasuredLag,
    position: Gauge,
    parked: Gauge,
}

impl ShardMetrics {
    /// Records the duration of a commit, failed or not.
    pub(crate) fn commit_took(&self, took: Duration) {
        self.projection.commits.record(took);
    }

    /// Counts events that were applied in one transaction.
    pub(crate) fn applied(&self, events: usize) {
        self.projection.events.increment(events as u64);
        self.projection.batch.record(events as f64);
    }

    /// Counts events that were repeated.
    pub(crate) fn repeated(&self, events: usize) {
        self.projection.duplicates.increment(events as u64);
    }

    /// Sets the progress of the shard.
    pub(crate) fn advanced(&self, to: &Progress) {
        self.position.set(to.position.get() as f64);
        self.lag.advanced(to);
    }

    /// Sets the number of parked keys.
    pub(crate) fn parked(&self, keys: usize) {
        self.parked.set(keys as f64);
    }
}

impl Drop for ShardMetrics {
    fn drop(&mut self) {
        self.projection.held.decrement(1.0);
        self.parked.set(0.0);
    }
}
