//! The options of a projection, and the policy for events that can't be applied (R4).

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The time within which every row is compared once, unless another one is set.
const AUDIT_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// The policy for an event that can't be applied, after it has been retried. Transient errors (a store or
/// a broker that can't be reached) are retried for ever, under every policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The projection stops and reports the error. No event is skipped.
    #[default]
    Stop,
    /// The key is parked: its events wait in order, those of other keys are applied, and reads of the key
    /// say so. A key whose row can't be decoded is parked, too. With more parked keys in one shard than
    /// `at_most` the projection stops. It also stops for an event whose key is unknown because the event
    /// can't be decoded.
    Park {
        /// The maximum number of parked keys of a shard.
        at_most: usize,
    },
    /// The event has no effect on the key. It is logged and skipped for good. A row that can't be decoded
    /// stops the projection: no event is at fault there.
    Skip,
}

/// The waits between retries. They double and are jittered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The number of retries of an event that can't be applied before the policy decides. A pure fold is
    /// not retried, nor is application code that panicked: both would fail again.
    pub max_retries: u32,
    /// The first wait.
    pub min_delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
}

impl Default for Backoff {
    /// 3 retries; from 50 ms to 5 s.
    fn default() -> Self {
        Self {
            max_retries: 3,
            min_delay: Duration::from_millis(50),
            max_delay: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// Returns the waits, without end.
    pub(crate) fn waits(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let max_delay = self.max_delay;
        ExponentialBuilder::default()
            .with_min_delay(self.min_delay)
            .with_max_delay(max_delay)
            .without_max_times()
            .with_jitter()
            .build()
            .chain(std::iter::repeat(max_delay))
    }
}

/// The reaction of a program whose definition of a view has changed: no stored rows are its own, nor can be adopted
/// (R5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnChange {
    /// The projection stops and says what has changed.
    #[default]
    Stop,
    /// The worker builds a new generation of the view in a table of its own, beside the one that other programs go on
    /// with, and makes it the live one when it is complete. Until then, reads of this program say that the view is being
    /// rebuilt.
    Rebuild,
}

/// The reaction of a worker to a row that is not the fold of its events (R6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDrift {
    /// It warns in the log, counts the row, and says so in the status of the projection.
    #[default]
    Warn,
    /// It warns, and writes the row again as its events give it.
    Repair,
}

/// The options of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionOptions {
    /// The number of shards that the work is divided into, so that several tasks and workers can share
    /// it. A view keyed by stream takes as many as its topic has partitions, if it is fed by one.
    pub shards: u32,
    /// The maximum number of events in one transaction. Fewer events are applied at once, without
    /// waiting for more.
    pub batch: usize,
    /// The number of rows of a shard that are cached in memory between batches.
    pub cached_rows: usize,
    /// The policy for an event that can't be applied.
    pub on_failure: OnFailure,
    /// The reaction to a changed definition of a view.
    pub on_change: OnChange,
    /// The time within which a worker compares every row of its shards once with the fold of its events, in the
    /// background; `None` to compare none. Each shard that is taken up with rows begins with a sample of them. Projections,
    /// sinks and handlers have no rows that could be compared.
    pub audit_window: Option<Duration>,
    /// The reaction to a row that is not the fold of its events.
    pub on_drift: OnDrift,
    /// The waits between retries.
    pub backoff: Backoff,
}

impl Default for ProjectionOptions {
    /// One shard, 5,000 events, 100,000 rows, stop at an event that can't be applied and at a changed definition; every row
    /// is compared with its events once a day, with a warning if it differs.
    fn default() -> Self {
        Self {
            shards: 1,
            batch: 5_000,
            cached_rows: 100_000,
            on_failure: OnFailure::default(),
            on_change: OnChange::default(),
            audit_window: Some(AUDIT_WINDOW),
            on_drift: OnDrift::default(),
            backoff: Backoff::default(),
        }
    }
}

impl ProjectionOptions {
    /// Sets the number of shards.
    #[must_use]
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = shards;
        self
    }

    /// Sets the maximum number of events in one transaction; at least 1.
    #[must_use]
    pub fn batch(mut self, events: usize) -> Self {
        self.batch = events.max(1);
        self
    }

    /// Sets the reaction to a changed definition of a view.
    #[must_use]
    pub fn on_change(mut self, reaction: OnChange) -> Self {
        self.on_change = reaction;
        self
    }

    /// Sets the time within which a worker compares every row of its shards once with the fold of its events.
    #[must_use]
    pub fn audited_within(mut self, window: Duration) -> Self {
        self.audit_window = Some(window);
        self
    }

    /// Compares no rows.
    #[must_use]
    pub fn unaudited(mut self) -> Self {
        self.audit_window = None;
        self
    }

    /// Sets the reaction to a row that is not the fold of its events.
    #[must_use]
    pub fn on_drift(mut self, reaction: OnDrift) -> Self {
        self.on_drift = reaction;
        self
    }

    /// Sets the policy for an event that can't be applied.
    #[must_use]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = policy;
        self
    }
}
