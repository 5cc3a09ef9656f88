//! The state of a view that has not reached the target of a read: *pending reconciliation* (R3).

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::{Freshness, Position, Token};

/// A view that has not reached the target of a read yet (R3). Nothing is lost: the missing events are stored. If
/// `reached` says that it has stopped, it doesn't reach the target before an operator has acted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// The view.
    pub view: String,
    /// The target of the read.
    pub target: Target,
    /// The progress of the view for the keys that were read.
    pub reached: Freshness,
    /// The time that the read waited.
    pub waited: Duration,
    /// The estimated remaining time, at the rate at which the view moved meanwhile; `None` if it didn't, or has
    /// stopped.
    pub estimate: Option<Duration>,
}

/// The target of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The view must have applied what this token stands for.
    Token(Token),
    /// The view must have applied everything that was recorded longer ago than this.
    Bounded(Duration),
    /// The view must have applied every event of the log.
    Head,
    /// The view is being rebuilt, and must have applied every event up to here to be complete.
    Complete(Position),
}

impl Pending {
    /// Creates the state of a view that has not reached the target, before any wait.
    #[must_use]
    pub fn new(view: impl Into<String>, target: Target, reached: Freshness) -> Self {
        Self { view: view.into(), target, reached, waited: Duration::ZERO, estimate: None }
    }

    /// Adds the wait that began when `before` was read, and estimates the remaining time.
    #[must_use]
    pub fn since(mut self, before: &Freshness, now: Timestamp) -> Self {
        let elapsed =
            |until: Timestamp| until.duration_since(before.read_at).try_into().unwrap_or_default();
        self.waited = elapsed(now);
        let moved = self.reached.position.since(before.position);
        if moved > 0 && !self.reached.is_stopped() {
            let meanwhile: Duration = elapsed(self.reached.read_at);
            self.estimate = Some(meanwhile.mul_f64(self.missing() as f64 / moved as f64));
        }
        self
    }

    /// The number of events of the log that the view still has to process; 0 if that isn't known.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let target = match &self.target {
            Target::Token(token) => token.clocks().map(|(_, position)| position).max(),
            Target::Bounded(_) | Target::Head => self.reached.head,
            Target::Complete(position) => Some(*position),
        };
        target.unwrap_or(Position::START).since(self.reached.position)
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { view, target, reached, waited, estimate } = self;
        write!(f, "view {view} is at {reached}, and ")?;
        match target {
            Target::Token(token) => write!(f, "did not reach {token}")?,
            Target::Bounded(bound) => write!(f, "was not within {bound:?} of now")?,
            Target::Head => f.write_str("did not have all there was")?,
            Target::Complete(position) => write!(f, "was not complete, at {position},")?,
        }
        write!(f, " within {waited:?}")?;
        match estimate {
            Some(estimate) => write!(f, "; at this rate it takes {estimate:?} more"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_what_is_pending_says_how_long_it_takes_at_the_rate_seen() {
        let at = |milli| Timestamp::from_millisecond(milli).unwrap();
        let seen = |position, milli| {
            let (position, head) = (Position::new(position), Some(Position::new(100)));
            Freshness::new(position, at(0), at(milli), head)
        };
        let wanted = Target::Token(Token::at(Position::new(60)));
        let pending = Pending::new("balances", wanted, seen(20, 3_000));
        let moved = pending.clone().since(&seen(10, 2_000), at(3_500));
        assert_eq!((moved.missing(), moved.waited), (40, Duration::from_millis(1_500)));
        assert_eq!(moved.estimate, Some(Duration::from_secs(4)));
        assert_eq!(pending.clone().since(&seen(20, 2_000), at(3_500)).estimate, None);
        let stopped = Pending { reached: pending.reached.with_stopped(Some(at(2_500))), ..pending };
        let stopped = stopped.since(&seen(10, 2_000), at(3_500));
        assert_eq!(stopped.estimate, None, "{stopped}");
        assert!(stopped.to_string().contains("stopped at"), "{stopped}");
        for word in ["balances", "position 20", "80 events behind", "1.5s", "4s more"] {
            assert!(moved.to_string().contains(word), "no {word:?} in: {moved}");
        }
    }
}
