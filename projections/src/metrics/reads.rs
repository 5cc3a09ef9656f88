//! Reads of named operations.

use std::time::Duration;

use ::metrics::{Counter, Histogram};
use highwater_core::metrics::HandleCache;

use super::{READ_DURATION, READS};

/// What is counted of reads, kept with an open store.
#[derive(Default)]
pub(crate) struct ReadMeter {
    reads: HandleCache<(Labels, &'static str), Counter>,
    durations: HandleCache<Labels, Histogram>,
}

/// Operation, variant and level.
pub(crate) type Labels = [&'static str; 3];

impl ReadMeter {
    /// A read has been answered, or has failed.
    pub(crate) fn answered(&self, of: Labels, outcome: &'static str, took: Duration) {
        let [operation, variant, level] = of;
        let reads = || READS.count(&[operation, variant, level, outcome]);
        self.reads.with((of, outcome), reads, |reads| reads.increment(1));
        let durations = || READ_DURATION.distribution(&of);
        self.durations.with(of, durations, |durations| durations.record(took));
    }
}
