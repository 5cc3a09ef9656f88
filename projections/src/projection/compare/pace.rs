//! The pauses between the steps of a comparison.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Spreads the steps of a comparison over a time, so that it stays in the background.
#[derive(Debug)]
pub(crate) struct Pace {
    next: Instant,
    step: Duration,
}

impl Pace {
    /// Makes no pauses.
    pub(crate) fn none() -> Self {
        Self::every(Duration::ZERO)
    }

    /// Begins a step this long after the one before it, or as soon as that has ended.
    pub(crate) fn every(step: Duration) -> Self {
        Self { next: Instant::now(), step }
    }

    /// Spreads so many steps evenly over a time.
    pub(crate) fn over(time: Duration, steps: u64) -> Self {
        Self::every(time / u32::try_from(steps.max(1)).unwrap_or(u32::MAX))
    }

    /// Waits until the next step is due.
    ///
    /// Not by the clock of the port: no decision depends on when a row is compared.
    pub(crate) async fn wait(&mut self) {
        if self.step.is_zero() {
            return;
        }
        self.next += self.step;
        sleep_until(self.next).await;
    }
}
