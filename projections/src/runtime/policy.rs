//! What happens with an event that can't be applied (R4).

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// What happens with an event that can't be applied, after it has been tried again. What may pass (a
/// store or a broker that can't be reached) is tried for ever, whatever this says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The projection stops, and says why. Nothing is passed over.
    #[default]
    Stop,
    /// The key is parked: its events wait in order, those of other keys go on, and reads of the key
    /// say so. So it is, too, if its row can't be decoded. Beyond so many parked keys in one shard the
    /// projection stops. It stops, too, for an event whose key can't be known because it can't be
    /// decoded.
    Park {
        /// How many keys of a shard may be parked.
        at_most: usize,
    },
    /// The event has no effect on the key. It is logged, and gone. A row that can't be decoded stops the
    /// projection: no event is at fault there.
    Skip,
}

/// How long to wait before another try. Waits double and are jittered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// How often an event that can't be applied is tried before the policy decides, the first time
    /// not counted. A pure fold is not tried again: it would fail again.
    pub tries: u32,
    /// The first wait.
    pub least: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Backoff {
    /// 3 tries; from 50 ms to 5 s.
    fn default() -> Self {
        Self { tries: 3, least: Duration::from_millis(50), longest: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The waits, for ever.
    pub(crate) fn waits(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let longest = self.longest;
        ExponentialBuilder::default()
            .with_min_delay(self.least)
            .with_max_delay(longest)
            .without_max_times()
            .with_jitter()
            .build()
            .chain(std::iter::repeat(longest))
    }
}

/// How a projection is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionOptions {
    /// Into how many shards the work is divided, so that several tasks and workers can share it. A
    /// view keyed by stream takes as many as its topic has partitions, if it is fed by one.
    pub shards: u32,
    /// How many events go in one transaction at the most. When there are fewer they go at once.
    pub batch: usize,
    /// How many rows of a shard are kept in memory between batches.
    pub cached_rows: usize,
    /// What happens with an event that can't be applied.
    pub on_failure: OnFailure,
    /// How long to wait before another try.
    pub backoff: Backoff,
}

impl Default for ProjectionOptions {
    /// One shard, 5,000 events, 100,000 rows, stop.
    fn default() -> Self {
        Self {
            shards: 1,
            batch: 5_000,
            cached_rows: 100_000,
            on_failure: OnFailure::default(),
            backoff: Backoff::default(),
        }
    }
}

impl ProjectionOptions {
    /// Divides the work into so many shards.
    #[must_use]
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = shards;
        self
    }

    /// So many events in one transaction at the most.
    #[must_use]
    pub fn batch(mut self, events: usize) -> Self {
        self.batch = events.max(1);
        self
    }

    /// What happens with an event that can't be applied.
    #[must_use]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = policy;
        self
    }
}
