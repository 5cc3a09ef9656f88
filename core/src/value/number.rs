//! Positions in the log, versions of a stream, versions of a schema.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the log: 1 for the first event ever appended, without gaps from there (W3).
///
/// Position 0 is [`Position::START`], the place before everything and the position of a reader that
/// has seen nothing.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// The position before the first event.
    pub const START: Self = Self(0);
    /// The position after every event that can ever be appended. Backward reads of the log start
    /// here.
    pub const END: Self = Self(i64::MAX as u64);

    /// The position with this number; numbers beyond [`Position::END`] mean the end.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        if number > Self::END.0 { Self::END } else { Self(number) }
    }

    /// The number, for arithmetic and storage.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of events between an earlier position and this one (0 if it isn't earlier).
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The number of events in a stream: 1 after its first event, 0 ([`Version::NONE`]) before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of a stream without events.
    pub const NONE: Self = Self(0);
    /// The version after every version that a stream can reach. Backward reads of a stream start
    /// here.
    pub const END: Self = Self(i64::MAX as u64);

    /// The version with this number; numbers beyond [`Version::END`] mean the end.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        if number > Self::END.0 { Self::END } else { Self(number) }
    }

    /// The number, for arithmetic and storage.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after `events` more events.
    #[must_use]
    pub const fn plus(self, events: usize) -> Self {
        Self::new(self.0.saturating_add(events as u64))
    }
}

/// The version of an event type's payload or of a snapshot's state, from 1 upward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaVersion(u32);

impl SchemaVersion {
    /// The version that every schema starts with.
    pub const FIRST: Self = Self(1);

    /// The last version that every store can hold.
    pub const LAST: Self = Self(i32::MAX as u32);

    /// The schema version with this number; 0 means the first.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        if number == 0 { Self::FIRST } else { Self(number) }
    }

    /// The number, for storage.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
