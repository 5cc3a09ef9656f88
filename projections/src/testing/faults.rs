//! Which faults there are, how often, and from which seed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use highwater_core::port::{FeedSource, ViewStore};

use super::{feeds::FaultySource, views::FaultyViews};

/// Faults for a worker, each as often as it says: from 0, never, to 1, always. One that is always
/// there lets nothing through.
///
/// From the same seed come the same decisions; what they meet depends on the runtime's timing.
#[derive(Debug, Clone)]
pub struct Faults {
    /// A commit that is not made: the process crashed before it.
    pub before_commit: f64,
    /// A commit that is made, and whose answer is lost: the process crashed after it.
    pub after_commit: f64,
    /// A page that begins with events that have been delivered before.
    pub repeats: f64,
    /// A shard is taken away and given again, as often as this goes by; never if it is `None`.
    pub rebalance: Option<Duration>,
    random: Arc<Mutex<fastrand::Rng>>,
}

impl Faults {
    /// No faults, until they are asked for.
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

    /// All of them: a commit in ten each fails before and after, every third page repeats something,
    /// and every 20 ms a shard is taken away.
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

    /// These views, with the faults.
    #[must_use]
    pub fn on_views(&self, views: Arc<dyn ViewStore>) -> Arc<dyn ViewStore> {
        Arc::new(FaultyViews { views, faults: self.clone() })
    }

    /// This source, with the faults.
    #[must_use]
    pub fn on_source(&self, source: Arc<dyn FeedSource>) -> Arc<dyn FeedSource> {
        Arc::new(FaultySource { source, faults: self.clone() })
    }

    pub(super) fn happens(&self, how_often: f64) -> bool {
        how_often > 0.0 && self.random(fastrand::Rng::f64) < how_often
    }

    pub(super) fn random<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
