//! A clock that stands still until a test moves it.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::port::Clock;

/// A clock that a test moves. Clones show the same time.
///
/// Sleeping does not wait: it moves the clock forward by the requested time, lets other tasks run
/// once, and is recorded. So a test of backoff takes no time and sees the length of each pause, and
/// a loop with a deadline ends.
///
/// ```
/// use std::time::Duration;
/// use highwater_core::{port::Clock, testing::ManualClock};
///
/// let clock = ManualClock::default();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().duration_since(start).as_secs(), 60);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<ClockState>>);

#[derive(Debug)]
struct ClockState {
    now: Timestamp,
    slept: Vec<Duration>,
}

impl ManualClock {
    /// Creates a clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(ClockState { now, slept: Vec::new() })))
    }

    /// Moves the clock forward, at most to the latest timestamp.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.now = later(state.now, by);
    }

    /// The durations of all sleeps so far, in order.
    #[must_use]
    pub fn slept(&self) -> Vec<Duration> {
        self.state().slept.clone()
    }

    /// Locks the state, even if it is poisoned: a second panic here must not hide the one of a
    /// test.
    fn state(&self) -> MutexGuard<'_, ClockState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    /// A clock that shows the Unix epoch.
    fn default() -> Self {
        Self::at(Timestamp::UNIX_EPOCH)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        self.state().slept.push(duration);
        yield_once().await;
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Yields to other tasks: otherwise a loop that sleeps between its attempts would never release its
/// thread.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn a_manual_clock_stands_still_and_sleeping_moves_it() {
        let clock = ManualClock::default();
        assert_eq!(clock.now(), clock.now());
        let pause = Duration::from_secs(3);
        let mut sleep = pin!(clock.sleep(pause));
        let mut wakers = Context::from_waker(Waker::noop());
        assert_eq!(sleep.as_mut().poll(&mut wakers), Poll::Pending);
        assert_eq!(sleep.as_mut().poll(&mut wakers), Poll::Ready(()));
        assert_eq!((clock.now().as_second(), clock.slept()), (3, vec![pause]));
    }

    #[test]
    fn a_manual_clock_stops_at_the_end_of_time() {
        let clock = ManualClock::default();
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
