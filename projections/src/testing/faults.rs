//! The faults, their frequencies and their seed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use highwater_core::port::{FeedSource, ViewStore};

use super::{feeds::FaultyFeedSource, view_store::FaultyViewStore};
use crate::worker::Worker;

/// Faults for a worker, each with its frequency: from 0, never, to 1, always. With a frequency of 1 the
/// worker makes no progress.
///
/// The same seed gives the same decisions; the operations that they affect depend on the timing of the
/// runtime.
#[derive(Debug, Clone)]
pub struct WorkerFaults {
    /// The frequency of commits that are not made: the process crashed before the commit.
    pub before_commit: f64,
    /// The frequency of commits that are made and whose answer is lost: the process crashed afterwards.
    pub after_commit: f64,
    /// The frequency of pages that begin with events that have been delivered before.
    pub repeats: f64,
    /// The interval at which a shard is revoked and assigned again; never if it is `None`.
    pub rebalance: Option<Duration>,
    random: Arc<Mutex<fastrand::Rng>>,
}

impl WorkerFaults {
    /// Creates a plan without faults.
    #[must_use]
    pub fn none(seed: u64) -> Self {
        Self {
            before_commit: 0.0,
            after_commit: 0.0,
            repeats: 0.0,
            rebalance: None,
            random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
        }
    }

    /// Creates a plan with all faults: one commit in ten fails before and one after, every third page
    /// repeats events, and every 20 ms a shard is revoked.
    #[must_use]
    pub fn all(seed: u64) -> Self {
        Self {
            before_commit: 0.1,
            after_commit: 0.1,
            repeats: 0.3,
            rebalance: Some(Duration::from_millis(20)),
            ..Self::none(seed)
        }
    }

    /// Injects the faults into a view store.
    #[must_use]
    pub fn on_views(&self, views: Arc<dyn ViewStore>) -> Arc<dyn ViewStore> {
        Arc::new(FaultyViewStore { views, faults: self.clone() })
    }

    /// Injects the faults into a feed source.
    #[must_use]
    pub fn on_source(&self, source: Arc<dyn FeedSource>) -> Arc<dyn FeedSource> {
        Arc::new(FaultyFeedSource { source, faults: self.clone() })
    }

    pub(super) fn should_inject(&self, frequency: f64) -> bool {
        frequency > 0.0 && self.random(fastrand::Rng::f64) < frequency
    }

    pub(super) fn random<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Worker {
    /// Injects faults into its source and its view store.
    #[must_use]
    pub fn with_faults(self, faults: &WorkerFaults) -> Self {
        self.decorate(|source| faults.on_source(source), |views| faults.on_views(views))
    }
}
