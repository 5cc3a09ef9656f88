//! How long reads wait for a view.

use std::time::Duration;

use ::metrics::Histogram;
use highwater_core::metrics::HandleCache;

use super::WAIT_DURATION;

/// How long reads of one store waited, by level and outcome.
#[derive(Default)]
pub(crate) struct Waits(HandleCache<[&'static str; 2], Histogram>);

impl Waits {
    /// A read has waited this long for its level, and that ended like this. Not for reads that needed not
    /// wait.
    pub(crate) fn waited(&self, level: &'static str, outcome: &'static str, took: Duration) {
        let of = [level, outcome];
        self.0.with(of, || WAIT_DURATION.distribution(&of), |waits| waits.record(took));
    }
}
