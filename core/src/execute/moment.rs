//! The order in which a process begins commands, reads and appends.

use std::sync::atomic::{AtomicU64, Ordering};

/// A moment in the life of a process. A read or an append begins a moment of its own; a command begins
/// in the current one, so whatever is read or sent after it began has a later moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

/// The clock of moments: a counter, because the time of a machine can go backward.
#[derive(Debug, Default)]
pub(super) struct MomentClock(AtomicU64);

impl MomentClock {
    /// Returns the current moment.
    pub(super) fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::SeqCst))
    }

    /// Begins the next moment.
    pub(super) fn tick(&self) -> Moment {
        Moment(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}
