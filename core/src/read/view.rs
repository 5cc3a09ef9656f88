//! Keyed views: what a read model is made of.

use std::{fmt, ops::Deref};

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::{domain::Event, port::Envelope, value::Position};

/// A read model with one row for each key, folded from events. Pure: the same events always give
/// the same rows.
pub trait View: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The events that it is folded from.
    type Event: Event;
    /// Its name, and part of the name of its table: `a-z`, `0-9`, `_`, at most 40.
    const NAME: &'static str;

    /// The key of the row that an event changes; `None` if it changes none.
    fn key(event: &Self::Event, envelope: &Envelope) -> Option<String>;

    /// Changes the row of that key.
    fn fold(&mut self, event: &Self::Event, envelope: &Envelope);
}

/// How fresh an answer is (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Every event up to here is in the answer.
    pub position: Position,
    /// When the last of them was recorded; the epoch if there was none.
    pub as_of: Timestamp,
    /// Where the log was when the answer was read.
    pub head: Position,
}

impl Freshness {
    /// How many events the answer does not know yet.
    #[must_use]
    pub const fn lag(&self) -> u64 {
        self.head.since(self.position)
    }

    /// Whether it knew every event there was.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.lag() == 0
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} ({})", self.position, self.as_of)?;
        match self.lag() {
            0 => f.write_str(", current"),
            lag => write!(f, ", converging: {lag} events behind"),
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
