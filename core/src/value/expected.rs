//! The state that an append expects a stream to be in (W1).

use std::fmt;

use super::{EventId, Version};

/// The state of a stream that an append requires (W1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Any state.
    Any,
    /// A stream without events.
    NoStream,
    /// A stream with events.
    StreamExists,
    /// A stream at exactly this version.
    Version(Version),
    /// A stream at exactly this version whose last event is this one. The event's id shows what the
    /// version alone can't: that the stream *is* the one that was decided on, even if the decision
    /// was made on events that were still being appended.
    Head(Version, EventId),
}

impl Expected {
    /// Returns true if a stream at `version` whose last event is `head` is as expected.
    #[must_use]
    pub fn is_met_by(&self, version: Version, head: Option<EventId>) -> bool {
        match *self {
            Self::Any => true,
            Self::NoStream => version == Version::NONE,
            Self::StreamExists => version > Version::NONE,
            Self::Version(expected) => version == expected,
            Self::Head(expected, event) => version == expected && head == Some(event),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no events"),
            Self::StreamExists => f.write_str("some version"),
            Self::Version(version) => write!(f, "version {version}"),
            Self::Head(version, event) => write!(f, "version {version} with event {event}"),
        }
    }
}
