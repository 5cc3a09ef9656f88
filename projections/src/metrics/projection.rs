//! The handles of a projection, and of a shard that is held.

use std::{ops::Deref, sync::Arc, time::Duration};

use ::metrics::{Counter, Gauge, Histogram};
use highwater_core::{port::Progress, value::ShardId};

use super::{
    BATCH, COMMIT_DURATION, DUPLICATES, EVENTS, FENCED, LAG_EVENTS, LAG_SECONDS, Lags, PARKED,
    PARKED_KEYS, POSITION, SHARDS, SHARDS_HELD, SKIPPED, lag::Standing,
};

/// The handles of a projection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Handles>);

pub(crate) struct Handles {
    projection: String,
    lags: Arc<Lags>,
    events: Counter,
    batch: Histogram,
    commits: Histogram,
    shards: Gauge,
    held: Gauge,
    /// Events that came again.
    pub(crate) duplicates: Counter,
    /// Times that a key was parked.
    pub(crate) parked: Counter,
    /// Effects that were given up.
    pub(crate) skipped: Counter,
    /// Shards that were lost to another worker.
    pub(crate) fenced: Counter,
}

impl Deref for Meter {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.0
    }
}

impl Meter {
    /// The handles of the projection of this name, whose shards' lags are looked at together with
    /// others.
    pub(crate) fn new(projection: &str, lags: &Arc<Lags>) -> Self {
        let of = &[projection];
        Self(Arc::new(Handles {
            projection: projection.to_owned(),
            lags: Arc::clone(lags),
            events: EVENTS.count(of),
            batch: BATCH.distribution(of),
            commits: COMMIT_DURATION.distribution(of),
            shards: SHARDS.level(of),
            held: SHARDS_HELD.level(of),
            duplicates: DUPLICATES.count(of),
            parked: PARKED.count(of),
            skipped: SKIPPED.count(of),
            fenced: FENCED.count(of),
        }))
    }

    /// The work is divided into so many shards.
    pub(crate) fn divided(&self, shards: u32) {
        self.shards.set(shards);
    }

    /// A shard is held from now on, until what this gives is dropped.
    pub(crate) fn hold(&self, shard: ShardId, from: &Progress) -> Held {
        let of = &[self.projection.as_str(), &shard.to_string()];
        let standing = Arc::new(Standing::new(LAG_EVENTS.level(of), LAG_SECONDS.level(of)));
        let (position, parked) = (POSITION.level(of), PARKED_KEYS.level(of));
        self.lags.watch(&standing);
        self.held.increment(1.0);
        let held = Held { meter: self.clone(), standing, position, parked };
        held.stands(from);
        held
    }
}

/// A shard that this process holds.
pub(crate) struct Held {
    meter: Meter,
    standing: Arc<Standing>,
    position: Gauge,
    parked: Gauge,
}

impl Held {
    /// A commit has been tried.
    pub(crate) fn tried_to_commit(&self, took: Duration) {
        self.meter.commits.record(took);
    }

    /// So many events have had their effect.
    pub(crate) fn applied(&self, events: usize) {
        self.meter.events.increment(events as u64);
        self.meter.batch.record(events as f64);
    }

    /// So many events came again.
    pub(crate) fn repeated(&self, events: usize) {
        self.meter.duplicates.increment(events as u64);
    }

    /// So far the shard is.
    pub(crate) fn stands(&self, at: &Progress) {
        self.position.set(at.position.get() as f64);
        self.standing.is_at(at);
    }

    /// So many keys are parked.
    pub(crate) fn parked(&self, keys: usize) {
        self.parked.set(keys as f64);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.held.decrement(1.0);
        self.parked.set(0.0);
        self.standing.is_left();
    }
}
