//! Stored data that can't be understood. An operator or a developer must look at it; nothing is
//! skipped.

use crate::{
    error::{Code, Source},
    value::{Position, SchemaVersion, StreamId},
};

/// Stored data that can't be understood, and its place.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Corrupt {
    /// This program has no event of this type.
    #[error("event {position} of stream {stream} has the unknown type {type_name}")]
    UnknownEvent {
        /// Its position.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// The type that isn't known.
        type_name: String,
    },
    /// A newer program has written this event.
    #[error(
        "event {position} of stream {stream} is {type_name} version {found}; this program knows \
         versions up to {known}"
    )]
    NewerEvent {
        /// Its position.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// The event's type.
        type_name: String,
        /// The schema version that was stored.
        found: SchemaVersion,
        /// The newest version that this program can decode.
        known: SchemaVersion,
    },
    /// The payload is not what its type and version promise.
    #[error("event {position} of stream {stream} ({type_name}) can't be decoded: {source}")]
    Payload {
        /// Its position.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// The event's type.
        type_name: String,
        /// The decoder's error.
        source: Source,
    },
    /// An event was stored before the program gave it a tag that a boundary queries: the boundary would not
    /// find it (W6).
    #[error(
        "event {position} of stream {stream} ({type_name}) was stored without its tag {tag_name}, so a \
         boundary that queries this tag would miss it: stop the programs that append {type_name} without \
         the tag, then run Highwater::retag::<{event}>()"
    )]
    Untagged {
        /// The first such event.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// Its type.
        type_name: String,
        /// The name of the tag.
        tag_name: String,
        /// The Rust type of the boundary's events, whose tags are to be added.
        event: &'static str,
    },
    /// A stored value other than an event's payload or a view's row can't be decoded.
    #[error("{what} can't be decoded: {source}")]
    Value {
        /// The value and its place.
        what: String,
        /// The decoder's error.
        source: Source,
    },
    /// A row of a view is not what its type promises.
    #[error("the row {key:?} of view {view} can't be decoded: {source}")]
    Row {
        /// The view.
        view: String,
        /// The key of the row.
        key: String,
        /// The decoder's error.
        source: Source,
    },
    /// A view or a projection can't apply an event (R4).
    #[error(
        "{view} can't apply event {position} ({type_name}) of stream {stream} to {key:?}: {source}"
    )]
    NotApplied {
        /// The view or projection.
        view: String,
        /// The key of the row, or the key by which the projection orders events.
        key: String,
        /// The event.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// Its type.
        type_name: String,
        /// The error of the view or projection.
        source: Source,
    },
    /// A key is parked, and the read asked for events that the row lacks (R3, R4).
    #[error(
        "{key:?} of {view} is parked since event {since}, so its row can't be had as asked for"
    )]
    Parked {
        /// The view.
        view: String,
        /// The key.
        key: String,
        /// The first event that is not in its row.
        since: Position,
    },
    /// More keys of a view are parked than its policy allows (R4).
    #[error("{view} has {parked} parked keys, as many as its policy allows: {source}")]
    TooManyParked {
        /// The view.
        view: String,
        /// The number of parked keys.
        parked: usize,
        /// The error that would have parked one more.
        source: Source,
    },
    /// A view was built by another definition than the program's, so its rows are not those that this program
    /// would fold (R5).
    #[error(
        "view {view} was built by another definition: {change}. Let its worker build it beside this one \
         (on_change: rebuild); if this program is an old one, stop it; if the rows are right as they are, \
         call adopt_definition of its reader"
    )]
    OtherDefinition {
        /// The view.
        view: String,
        /// The difference between the definition that is stored and the program's.
        change: String,
    },
    /// A newer program has renamed a view, and this one opens it under its former name (R5).
    #[error("view {view} has been renamed to {to} by a newer program: stop this one")]
    RenamedView {
        /// The former name.
        view: String,
        /// The name of the view now.
        to: String,
    },
    /// A view that is kept in another store than the log has events that the log doesn't have: the log was restored from a
    /// backup, or lost its last events in a fail-over, and the view was not (R1).
    #[error(
        "view {view} has events up to {position}, and the log ends at {head}: the log has lost events, and the view \
         has not. Restore the store of the views to a time at which it had none of them, or raise the version of the \
         view, so that it is built anew"
    )]
    AheadOfLog {
        /// The view.
        view: String,
        /// The position of the view's last event.
        position: Position,
        /// The position of the log's last event.
        head: Position,
    },
    /// A record of a topic is not one of Highwater's, or contradicts the log.
    #[error("record {offset} of {topic}/{partition} is not what a relay publishes: {why}")]
    Record {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
        /// The reason.
        why: String,
    },
    /// An invariant of the log is broken.
    #[error("the log is broken: {0}")]
    Log(String),
}

impl Corrupt {
    /// Creates the error of a stored value that can't be decoded.
    pub fn value(what: impl Into<String>, source: Source) -> Self {
        Self::Value { what: what.into(), source }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownEvent { .. } => Code::UNKNOWN_EVENT,
            Self::NewerEvent { .. } => Code::NEWER_EVENT,
            Self::Payload { .. } | Self::Row { .. } | Self::Value { .. } => Code::UNDECODABLE,
            Self::Untagged { .. } => Code::UNTAGGED,
            Self::OtherDefinition { .. } | Self::RenamedView { .. } => Code::OTHER_DEFINITION,
            Self::AheadOfLog { .. } => Code::AHEAD_OF_LOG,
            Self::NotApplied { .. } => Code::NOT_APPLIED,
            Self::Parked { .. } => Code::PARKED,
            Self::TooManyParked { .. } => Code::TOO_MANY_PARKED,
            Self::Record { .. } => Code::FOREIGN_RECORD,
            Self::Log(_) => Code::CORRUPT_LOG,
        }
    }
}
