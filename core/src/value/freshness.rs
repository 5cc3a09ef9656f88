//! The freshness of an answer (R2).

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::{LogId, Position, Token};

/// The freshness of an answer (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// The position up to which every event is in the answer, except those that a parked key holds
    /// back.
    pub position: Position,
    /// The time up to which the answer is known to be complete: nothing recorded before is missing,
    /// except what is held back. It is the time of the read if nothing could be missing.
    pub as_of: Timestamp,
    /// The time of the read, by the reader's clock.
    pub read_at: Timestamp,
    /// The head of the log at that time; `None` if the view is kept elsewhere and the log was not
    /// read.
    pub head: Option<Position>,
    /// The first event that is not in the answer because its key is parked (R4).
    pub parked_since: Option<Position>,
    /// The time at which the work on the view stopped at an error, if nothing has been applied since.
    pub stopped_at: Option<Timestamp>,
    /// The position from which on the view is complete, if it is being rebuilt and not there yet.
    pub complete_at: Option<Position>,
    /// The log that the positions belong to, if that is known.
    pub log: Option<LogId>,
}

/// The freshness of an answer, as one of five classes (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreshnessStatus {
    /// The answer includes every event that the log had.
    Current,
    /// There are, or may be, events that the answer doesn't include yet; the view is catching up.
    Converging,
    /// The key is parked: from this position on its events wait for an operator.
    Degraded(Position),
    /// There are, or may be, events that the answer doesn't include, and the view doesn't catch up: at this time
    /// its work stopped at an error that an operator must look at.
    Stopped(Timestamp),
    /// The view is being built for a changed program (R5): it is complete from this position on.
    Rebuilding(Position),
}

impl Freshness {
    /// Creates the freshness of an answer that was read at `read_at` from a view at `position`, as
    /// of `as_of`. If nothing can be missing, the answer is as of the time of the read: a quiet log
    /// is not stale.
    #[must_use]
    pub fn new(
        position: Position,
        as_of: Timestamp,
        read_at: Timestamp,
        head: Option<Position>,
    ) -> Self {
        let head = head.map(|head| head.max(position));
        let as_of = if head == Some(position) { read_at } else { as_of };
        Self {
            position,
            as_of,
            read_at,
            head,
            parked_since: None,
            stopped_at: None,
            complete_at: None,
            log: None,
        }
    }

    /// Sets the first event that is held back, if the key is parked.
    #[must_use]
    pub fn with_parked(mut self, since: Option<Position>) -> Self {
        self.parked_since = since;
        self
    }

    /// Sets the time at which the work stopped, if it has.
    #[must_use]
    pub fn with_stopped(mut self, at: Option<Timestamp>) -> Self {
        self.stopped_at = at;
        self
    }

    /// Sets the position from which on the view is complete. A view that has reached it isn't being rebuilt.
    #[must_use]
    pub fn with_complete_at(mut self, position: Position) -> Self {
        self.complete_at = Some(position).filter(|complete_at| *complete_at > self.position);
        self
    }

    /// Sets the log that the positions belong to.
    #[must_use]
    pub const fn with_log(mut self, log: LogId) -> Self {
        self.log = Some(log);
        self
    }

    /// The token that a later read must wait for, here or elsewhere, so that it does not return an
    /// older state than this answer: *monotonic reads*.
    #[must_use]
    pub fn token(&self) -> Token {
        self.log.map_or_else(|| Token::at(self.position), |log| Token::of(log, self.position))
    }

    /// The number of events of the log that the answer does not include, whether they concern the
    /// view or not; `None` if that is not known.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.head.map(|head| head.since(self.position))
    }

    /// The time between the moment up to which the answer is known to be complete and the read, by
    /// the clock of the log and that of the reader; zero if the answer includes every event of the
    /// log. A moment that lies after the read proves that a clock has been set back, or that the two disagree: the
    /// answer may be as old as the clocks are apart.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.read_at.duration_since(self.as_of).unsigned_abs()
    }

    /// Returns the class of the freshness.
    #[must_use]
    pub fn status(&self) -> FreshnessStatus {
        match (self.parked_since, self.lag(), self.stopped_at, self.complete_at) {
            (Some(since), ..) => FreshnessStatus::Degraded(since),
            (None, Some(0), ..) => FreshnessStatus::Current,
            (None, _, Some(at), _) => FreshnessStatus::Stopped(at),
            (None, _, None, Some(complete_at)) => FreshnessStatus::Rebuilding(complete_at),
            (None, _, None, None) => FreshnessStatus::Converging,
        }
    }

    /// Returns true if the view is being rebuilt: its rows are not answers yet.
    #[must_use]
    pub fn is_rebuilding(&self) -> bool {
        self.complete_at.is_some()
    }

    /// Returns true if the answer lacks events, or may lack some, and waiting doesn't help: an operator must act.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.status(), FreshnessStatus::Stopped(_))
    }

    /// Returns true if the answer includes every event of the log.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.status() == FreshnessStatus::Current
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} ({})", self.position, self.as_of)?;
        match (self.status(), self.lag()) {
            (FreshnessStatus::Current, _) => f.write_str(", current"),
            (FreshnessStatus::Converging, Some(lag)) => {
                write!(f, ", converging: {lag} events behind")
            }
            (FreshnessStatus::Converging, None) => write!(f, ", converging: {:?} old", self.age()),
            (FreshnessStatus::Stopped(at), Some(lag)) => {
                write!(f, ", stopped at {at}: {lag} events behind")
            }
            (FreshnessStatus::Stopped(at), None) => {
                write!(f, ", stopped at {at}: {:?} old", self.age())
            }
            (FreshnessStatus::Rebuilding(complete_at), _) => {
                write!(f, ", rebuilding: complete at {complete_at}")
            }
            (FreshnessStatus::Degraded(since), _) => {
                write!(f, ", degraded since {since}: the key is parked")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freshness(position: u64, head: Option<u64>) -> Freshness {
        let at = |second| Timestamp::from_second(second).unwrap();
        Freshness::new(Position::new(position), at(100), at(160), head.map(Position::new))
    }

    #[test]
    fn r2_an_answer_that_lacks_nothing_is_as_of_its_read_however_quiet_the_log_is() {
        let current = freshness(7, Some(7));
        assert_eq!((current.lag(), current.age()), (Some(0), Duration::ZERO));
        assert_eq!((current.as_of, current.status()), (current.read_at, FreshnessStatus::Current));
        // A view can be beyond a head that was read before.
        assert!(freshness(8, Some(7)).is_current());
    }

    #[test]
    fn r2_an_answer_that_lacks_events_says_how_many_and_how_old_it_is() {
        let behind = freshness(7, Some(9));
        assert_eq!((behind.lag(), behind.age()), (Some(2), Duration::from_secs(60)));
        assert_eq!(behind.status(), FreshnessStatus::Converging);
    }

    #[test]
    fn r2_without_the_head_the_lag_is_unknown_and_nothing_is_called_current() {
        let unknown = freshness(7, None);
        assert_eq!((unknown.lag(), unknown.age()), (None, Duration::from_secs(60)));
        assert_eq!(unknown.status(), FreshnessStatus::Converging);
    }

    #[test]
    fn r2_an_answer_of_a_view_that_has_stopped_says_so_unless_it_lacks_nothing() {
        let at = Timestamp::from_second(130).unwrap();
        let stopped = |head| freshness(7, head).with_stopped(Some(at));
        for head in [None, Some(9)] {
            let stopped = stopped(head);
            assert_eq!(stopped.status(), FreshnessStatus::Stopped(at));
            assert!(
                stopped.to_string().contains(", stopped at 1970-01-01T00:02:10Z: "),
                "{stopped}"
            );
        }
        assert!(stopped(Some(7)).is_current());
        let parked = stopped(Some(9)).with_parked(Some(Position::new(3)));
        assert_eq!(parked.status(), FreshnessStatus::Degraded(Position::new(3)));
    }

    #[test]
    fn r2_a_view_that_is_being_rebuilt_says_so_until_it_is_complete() {
        let rebuilding =
            |position, head| freshness(position, head).with_complete_at(Position::new(8));
        for head in [None, Some(9)] {
            let rebuilding = rebuilding(7, head);
            assert_eq!(rebuilding.status(), FreshnessStatus::Rebuilding(Position::new(8)));
            assert!(
                rebuilding.to_string().ends_with(", rebuilding: complete at 8"),
                "{rebuilding}"
            );
        }
        assert_eq!(rebuilding(8, Some(9)).status(), FreshnessStatus::Converging);
        assert!(!rebuilding(8, None).is_rebuilding());
        // Waiting helps no view that has stopped.
        let stopped = rebuilding(7, None).with_stopped(Some(Timestamp::UNIX_EPOCH));
        assert!(stopped.is_stopped() && stopped.is_rebuilding());
    }

    #[test]
    fn r2_a_time_that_lies_after_the_read_makes_nothing_fresh() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ahead =
            |head| Freshness::new(Position::new(7), at(3_760), at(160), Some(Position::new(head)));
        assert_eq!(ahead(9).age(), Duration::from_secs(3_600));
        assert_eq!(ahead(7).age(), Duration::ZERO, "nothing can be missing");
    }

    #[test]
    fn r3_an_answer_has_a_token_of_what_it_has_seen() {
        let log = LogId::new(7);
        assert_eq!(freshness(7, Some(9)).token(), Token::at(Position::new(7)));
        assert_eq!(freshness(7, Some(9)).with_log(log).token(), Token::of(log, Position::new(7)));
    }

    #[test]
    fn r2_a_parked_key_is_degraded_wherever_the_view_is() {
        let since = Position::new(3);
        let parked = freshness(7, Some(7)).with_parked(Some(since));
        assert_eq!(
            (parked.status(), parked.is_current()),
            (FreshnessStatus::Degraded(since), false)
        );
    }
}
