//! Reads of named operations.

use std::time::Duration;

use ::metrics::{Counter, Histogram};
use highwater_core::metrics::HandleCache;

use super::{READ_DURATION, READS};

/// The handles of reads, kept with an open store.
#[derive(Default)]
pub(crate) struct ReadMeter {
    reads: HandleCache<(ReadLabels, &'static str), Counter>,
    durations: HandleCache<ReadLabels, Histogram>,
}

/// The operation, variant and level of a read.
pub(crate) type ReadLabels = [&'static str; 3];

impl ReadMeter {
    /// Records a read that was answered, or failed.
    pub(crate) fn answered(&self, labels: ReadLabels, outcome: &'static str, took: Duration) {
        let [operation, variant, level] = labels;
        let reads = || READS.count(&[operation, variant, level, outcome]);
        self.reads.with((labels, outcome), reads, |reads| reads.increment(1));
        let durations = || READ_DURATION.distribution(&labels);
        self.durations.with(labels, durations, |durations| durations.record(took));
    }
}
