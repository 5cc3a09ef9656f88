//! The handles of reads that wait for a view.

use std::time::Duration;

use ::metrics::Histogram;
use highwater_core::metrics::HandleCache;

use super::WAIT_DURATION;

/// The wait times of reads of one store, by level and outcome.
#[derive(Default)]
pub(crate) struct WaitMeter(HandleCache<[&'static str; 2], Histogram>);

impl WaitMeter {
    /// Records the wait of a read for its level. Not for reads that didn't have to wait.
    pub(crate) fn waited(&self, level: &'static str, outcome: &'static str, took: Duration) {
        let labels = [level, outcome];
        self.0.with(labels, || WAIT_DURATION.distribution(&labels), |waits| waits.record(took));
    }
}
