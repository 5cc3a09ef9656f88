//! The gauges of a state: 1 for the current state, 0 for all others that were entered before.

use std::sync::{Mutex, PoisonError};

use ::metrics::Gauge;
use highwater_core::metrics::Metric;

/// The state of one projection or relay, as a gauge for each state.
pub(crate) struct StateGauges {
    metric: Metric,
    name: String,
    current: Mutex<Option<(&'static str, Gauge)>>,
}

impl StateGauges {
    /// Creates the gauges. The name is the first label, the state the second.
    pub(crate) fn new(metric: Metric, name: &str) -> Self {
        Self { metric, name: name.to_owned(), current: Mutex::default() }
    }

    /// Sets the current state.
    pub(crate) fn enter(&self, state: &'static str) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some((before, _)) if *before == state => return,
            Some((_, gauge)) => gauge.set(0.0),
            None => {}
        }
        let gauge = self.metric.level(&[&self.name, state]);
        gauge.set(1.0);
        *current = Some((state, gauge));
    }
}

impl std::fmt::Debug for StateGauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StateGauges").field(&self.name).finish()
    }
}
