//! How fresh an answer is (R2).

use std::{fmt, ops::Deref, time::Duration};

use jiff::Timestamp;

use super::Level;
use crate::value::{LogId, Position, Token};

/// How fresh an answer is (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// Every event up to here is in the answer, but for those that a parked key holds back.
    pub position: Position,
    /// As of when that is known: nothing recorded before is missing, but for what is held back. It is
    /// the time of the read if there was nothing that could be missing.
    pub as_of: Timestamp,
    /// When the answer was read, by the reader's clock.
    pub read_at: Timestamp,
    /// Where the log was at that moment; `None` if the view is kept elsewhere and the log was not asked.
    pub head: Option<Position>,
    /// The first event that is not in the answer because its key is parked (R4).
    pub parked_since: Option<Position>,
    /// The log that the positions are of, if that is known.
    pub log: Option<LogId>,
}

/// In which way an answer is fresh (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It knew every event there was.
    Current,
    /// There are events that it doesn't know yet, or may be; the view is on its way.
    Converging,
    /// The key is parked: from this position on its events wait for somebody to look.
    Degraded(Position),
}

impl Freshness {
    /// What is known of an answer that was read at `read_at` from a view as far as `position`, as of
    /// `as_of`. If nothing can be missing, it is as of when it was read: a quiet log is not stale.
    #[must_use]
    pub fn new(
        position: Position,
        as_of: Timestamp,
        read_at: Timestamp,
        head: Option<Position>,
    ) -> Self {
        let head = head.map(|head| head.max(position));
        let as_of = if head == Some(position) { read_at } else { as_of };
        Self { position, as_of, read_at, head, parked_since: None, log: None }
    }

    /// The same of a key that is parked since then, if it is.
    #[must_use]
    pub fn parked(mut self, since: Option<Position>) -> Self {
        self.parked_since = since;
        self
    }

    /// The same with the log that its positions are of.
    #[must_use]
    pub const fn of(mut self, log: LogId) -> Self {
        self.log = Some(log);
        self
    }

    /// What a later read must wait for, here or elsewhere, so as not to go back behind this answer: *monotonic
    /// reads*.
    #[must_use]
    pub fn token(&self) -> Token {
        self.log.map_or_else(|| Token::at(self.position), |log| Token::of(log, self.position))
    }

    /// How many events of the log the answer does not know yet, whatever they are about; `None` if
    /// that isn't known.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.head.map(|head| head.since(self.position))
    }

    /// How long before the read the answer is known to be complete, by the clock of the reader and that of the
    /// log; no time at all if it knew every event there was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.read_at.duration_since(self.as_of).try_into().unwrap_or_default()
    }

    /// In which way it is fresh.
    #[must_use]
    pub fn status(&self) -> Status {
        match (self.parked_since, self.lag()) {
            (Some(since), _) => Status::Degraded(since),
            (None, Some(0)) => Status::Current,
            (None, _) => Status::Converging,
        }
    }

    /// Whether it knew every event there was.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.status() == Status::Current
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} ({})", self.position, self.as_of)?;
        match (self.status(), self.lag()) {
            (Status::Current, _) => f.write_str(", current"),
            (Status::Converging, Some(lag)) => write!(f, ", converging: {lag} events behind"),
            (Status::Converging, None) => write!(f, ", converging: {:?} old", self.age()),
            (Status::Degraded(since), _) => {
                write!(f, ", degraded since {since}: the key is parked")
            }
        }
    }
}

/// What an answer stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// The view, which was as far as the read asked for.
    View,
    /// The view, and the events that it lacked, folded over it from the log. As good as the view.
    Folded,
    /// The view, which was *not* as far as the read asked for: its fallback is to be served all the same, or
    /// its key is parked. The caller's own may be folded over it, if that was asked for.
    Stale,
    /// The view, and events of the caller's own folded over it. What others did in between is missing.
    Optimistic,
}

impl Basis {
    /// Its name, as metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Folded => "folded",
            Self::Stale => "stale",
            Self::Optimistic => "optimistic",
        }
    }
}

/// A value that says how fresh it is. It dereferences to the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    value: T,
    freshness: Freshness,
    basis: Basis,
    level: Level,
}

impl<T> Reading<T> {
    /// A value as of then, of which nothing was demanded.
    pub const fn new(value: T, freshness: Freshness) -> Self {
        Self { value, freshness, basis: Basis::View, level: Level::Eventual }
    }

    /// The same on another basis than the view alone.
    #[must_use]
    pub fn on(mut self, basis: Basis) -> Self {
        self.basis = basis;
        self
    }

    /// The same, asked for at another level.
    #[must_use]
    pub fn at(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// How fresh it was asked to be: of a named operation what its policy said at that moment. What it
    /// [stands on](Self::basis) says whether it is.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// How fresh it is.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// What it stands on.
    pub const fn basis(&self) -> Basis {
        self.basis
    }

    /// Whether it is less than what the read asked for.
    pub fn is_stale(&self) -> bool {
        self.basis == Basis::Stale
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Another value that is as fresh.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Reading<U> {
        let Self { value, freshness, basis, level } = self;
        Reading { value: map(value), freshness, basis, level }
    }
}

impl<T> Deref for Reading<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
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
        assert_eq!((current.as_of, current.status()), (current.read_at, Status::Current));
        // A view can be beyond a head that was asked for before.
        assert!(freshness(8, Some(7)).is_current());
    }

    #[test]
    fn r2_an_answer_that_lacks_events_says_how_many_and_how_old_it_is() {
        let behind = freshness(7, Some(9));
        assert_eq!((behind.lag(), behind.age()), (Some(2), Duration::from_secs(60)));
        assert_eq!(behind.status(), Status::Converging);
    }

    #[test]
    fn r2_without_the_head_the_lag_is_unknown_and_nothing_is_called_current() {
        let unknown = freshness(7, None);
        assert_eq!((unknown.lag(), unknown.age()), (None, Duration::from_secs(60)));
        assert_eq!(unknown.status(), Status::Converging);
    }

    #[test]
    fn r3_an_answer_has_a_token_of_what_it_has_seen() {
        let log = LogId::new(7);
        assert_eq!(freshness(7, Some(9)).token(), Token::at(Position::new(7)));
        assert_eq!(freshness(7, Some(9)).of(log).token(), Token::of(log, Position::new(7)));
    }

    #[test]
    fn r2_a_parked_key_is_degraded_wherever_the_view_is() {
        let since = Position::new(3);
        let parked = freshness(7, Some(7)).parked(Some(since));
        assert_eq!((parked.status(), parked.is_current()), (Status::Degraded(since), false));
    }
}
