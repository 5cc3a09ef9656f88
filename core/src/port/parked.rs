//! Keys whose events can't be applied for now (R4).

use jiff::Timestamp;

use crate::value::Position;

/// A key that is parked: its events wait in order, while those of other keys are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedKey {
    /// The key.
    pub key: String,
    /// The first event that has not been applied.
    pub since: Position,
    /// The error.
    pub error: String,
    /// The number of attempts.
    pub attempts: u32,
    /// The time at which it was parked, by the store's clock.
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
        /// The error.
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
    /// The events up to this position have been applied. If none waits any more, the key is no
    /// longer parked; otherwise it is parked since the first one that waits.
    Drain {
        /// The key.
        key: String,
        /// The position of the last of them.
        through: Position,
    },
}
