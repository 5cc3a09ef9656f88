//! A state together with its place in its stream.

use std::ops::Deref;

use jiff::Timestamp;

use crate::{
    domain::Envelope,
    port::Snapshot,
    value::{EventId, Position, Version},
};

/// The point in a stream's history whose state is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The latest state.
    Now,
    /// The state after the event with this version, or the latest if there are fewer.
    Version(Version),
    /// The state after everything up to this position in the log.
    Position(Position),
    /// The state after everything recorded up to this time, by the store's clock.
    Time(Timestamp),
}

impl AsOf {
    pub(super) fn includes(self, event: &Envelope) -> bool {
        match self {
            Self::Now => true,
            Self::Version(version) => event.version <= version,
            Self::Position(position) => event.position <= position,
            Self::Time(time) => event.recorded_at <= time,
        }
    }

    /// Returns true if folding may start from this snapshot, which has neither position nor time.
    pub(super) fn can_start_from(self, snapshot: &Snapshot) -> bool {
        match self {
            Self::Now => true,
            Self::Version(version) => snapshot.version <= version,
            Self::Position(_) | Self::Time(_) => false,
        }
    }
}

/// A state and its place in its stream. It dereferences to the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// The version of the stream in that state; [`Version::NONE`] if it has no events.
    pub version: Version,
    /// The last event folded.
    pub head: Option<EventId>,
    /// The position of the last event read for the state; [`Position::START`] if none was.
    pub position: Position,
    /// The version of the last snapshot.
    pub(super) snapshot: Version,
    /// The bytes of payload since the last snapshot.
    pub(super) bytes_since: u64,
}

impl<A> Loaded<A> {
    /// Creates a state before the first event.
    pub(super) fn initial(state: A) -> Self {
        Self {
            state,
            version: Version::NONE,
            head: None,
            position: Position::START,
            snapshot: Version::NONE,
            bytes_since: 0,
        }
    }

    /// Maps the state and keeps its place.
    pub(super) fn map<B>(self, map: impl FnOnce(A) -> B) -> Loaded<B> {
        let Self { state, version, head, position, snapshot, bytes_since } = self;
        Loaded { state: map(state), version, head, position, snapshot, bytes_since }
    }
}

impl<A> Deref for Loaded<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

impl<A: Default> Default for Loaded<A> {
    fn default() -> Self {
        Self::initial(A::default())
    }
}
