//! How fresh an answer is (R2).

use std::{fmt, ops::Deref};

use jiff::Timestamp;

use crate::value::Position;

/// How fresh an answer is (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Every event up to here is in the answer.
    pub position: Position,
    /// When the last of them was recorded; the epoch if there was none.
    pub as_of: Timestamp,
    /// Where the log was when the answer was read.
    pub head: Position,
    /// The first event that is not in the row because its key is parked (R4).
    pub parked_since: Option<Position>,
}

/// In which way an answer is fresh (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It knew every event there was.
    Current,
    /// There are events that it doesn't know yet; the view is on its way.
    Converging,
    /// The key is parked: from this position on its events wait for somebody to look.
    Degraded(Position),
}

impl Freshness {
    /// How many events the answer does not know yet.
    #[must_use]
    pub const fn lag(&self) -> u64 {
        self.head.since(self.position)
    }

    /// In which way it is fresh.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self.parked_since {
            Some(since) => Status::Degraded(since),
            None if self.lag() == 0 => Status::Current,
            None => Status::Converging,
        }
    }

    /// Whether it knew every event there was.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        matches!(self.status(), Status::Current)
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} ({})", self.position, self.as_of)?;
        match self.status() {
            Status::Current => f.write_str(", current"),
            Status::Converging => write!(f, ", converging: {} events behind", self.lag()),
            Status::Degraded(since) => write!(f, ", degraded since {since}: the key is parked"),
        }
    }
}

/// A value that says how fresh it is. It dereferences to the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    value: T,
    freshness: Freshness,
}

impl<T> Reading<T> {
    /// A value as of then.
    pub const fn new(value: T, freshness: Freshness) -> Self {
        Self { value, freshness }
    }

    /// How fresh it is.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Reading<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
