//! Keys whose events can't be applied for now (R4).

use jiff::Timestamp;

use crate::value::Position;

/// A key that is parked: its events wait in order, those of other keys go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedKey {
    /// The key.
    pub key: String,
    /// The first event that has not been applied.
    pub since: Position,
    /// Why.
    pub error: String,
    /// The number of attempts.
    pub attempts: u32,
    /// Since when, by the store's clock.
    pub parked_at: Timestamp,
    /// The number of waiting events.
    pub queued: u64,
    /// True if an operator has requested another attempt.
    pub retry: bool,
}

/// A change of a parked key, in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParkChange {
    /// The key is parked: its first event waits, too, without being queued. Or it has failed again:
    /// then only error and attempts change, and the request for another attempt is cleared.
    Park {
        /// The key.
        key: String,
        /// The first event that has not been applied.
        since: Position,
        /// Why.
        error: String,
        /// The number of attempts.
        attempts: u32,
    },
    /// One more event waits behind a key that is parked. The same event again changes nothing.
    Queue {
        /// The key.
        key: String,
        /// The event.
        position: Position,
    },
    /// The events up to here have been applied. If none waits any more, the key is parked no longer;
    /// otherwise it is parked since the first that does.
    Drain {
        /// The key.
        key: String,
        /// The last of them.
        through: Position,
    },
}
