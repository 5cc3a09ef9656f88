//! Which of its states something is in: 1 for that one, and 0 for all others that it has been in.

use std::sync::{Mutex, PoisonError};

use ::metrics::Gauge;
use highwater_core::metrics::Metric;

/// The state of one thing, as a gauge for each state.
pub(crate) struct StateSet {
    metric: Metric,
    of: String,
    now: Mutex<Option<(&'static str, Gauge)>>,
}

impl StateSet {
    /// States of the thing of this name, one gauge each. The name is the first label, the state the
    /// second.
    pub(crate) fn new(metric: Metric, of: &str) -> Self {
        Self { metric, of: of.to_owned(), now: Mutex::default() }
    }

    /// It is in this state now.
    pub(crate) fn enter(&self, state: &'static str) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        match &*now {
            Some((before, _)) if *before == state => return,
            Some((_, gauge)) => gauge.set(0.0),
            None => {}
        }
        let gauge = self.metric.level(&[&self.of, state]);
        gauge.set(1.0);
        *now = Some((state, gauge));
    }
}

impl std::fmt::Debug for StateSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StateSet").field(&self.of).finish()
    }
}
