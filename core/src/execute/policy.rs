//! The reaction to a conflict.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::domain::Aggregate;

/// The reaction to a conflict with another writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// Decide again on fresh state, a bounded number of times.
    Retry(Retry),
    /// Return the conflict to the caller.
    Reject,
}

impl Default for ConflictPolicy {
    fn default() -> Self {
        Self::Retry(Retry::default())
    }
}

/// The number of retries, and the waits before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The number of attempts after the first.
    pub max_retries: usize,
    /// The shortest wait; it doubles each time and is jittered. The first retry doesn't wait.
    pub min_delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
}

impl Default for Retry {
    /// 20 retries; from 1 ms to 100 ms.
    fn default() -> Self {
        Self {
            max_retries: 20,
            min_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(100),
        }
    }
}

impl Retry {
    /// The wait before each retry.
    fn waits(self) -> impl Iterator<Item = Duration> + Send + use<> {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(self.min_delay)
            .with_max_delay(self.max_delay)
            .with_max_times(self.max_retries.saturating_sub(1))
            .with_jitter()
            .build();
        std::iter::once(Duration::ZERO).chain(backoff).take(self.max_retries)
    }
}

impl ConflictPolicy {
    /// The wait before each retry; none if conflicts are returned.
    pub(super) fn waits(self) -> Box<dyn Iterator<Item = Duration> + Send> {
        match self {
            Self::Retry(retry) => Box::new(retry.waits()),
            Self::Reject => Box::new(std::iter::empty()),
        }
    }
}

/// Judges if a command may still be decided although other events have been appended in between.
///
/// If so, the command is decided again on fresh state, so invariants hold in any case. A resolver
/// only avoids the conflict that [`Request::expecting`](crate::Request::expecting) or
/// [`ConflictPolicy::Reject`] would cause.
pub trait Resolver<A: Aggregate>: Send + Sync + 'static {
    /// Returns true if the `intended` events still make sense after the `concurrent` ones, which the
    /// command did not know.
    fn are_compatible(&self, intended: &[A::Event], concurrent: &[A::Event]) -> bool;
}

impl<A, F> Resolver<A> for F
where
    A: Aggregate,
    F: Fn(&[A::Event], &[A::Event]) -> bool + Send + Sync + 'static,
{
    fn are_compatible(&self, intended: &[A::Event], concurrent: &[A::Event]) -> bool {
        self(intended, concurrent)
    }
}

pub(super) type SharedResolver<A> = Arc<dyn Resolver<A>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_at_once_and_the_number_is_bounded() {
        let retry = Retry { max_retries: 4, ..Retry::default() };
        let waits: Vec<_> = retry.waits().collect();
        assert_eq!(waits.len(), 4);
        assert_eq!(waits[0], Duration::ZERO);
        assert!(
            waits[1..].iter().all(|wait| *wait >= retry.min_delay && *wait <= retry.max_delay * 2)
        );
        assert_eq!(ConflictPolicy::Reject.waits().count(), 0);
    }
}
