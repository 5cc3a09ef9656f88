//! Pages of events, as a store returns them.

use crate::{
    domain::Envelope,
    value::{Position, Version},
};

/// The number of bytes at which a store ends a page: the payloads of its events together, if there are several. A page
/// of many small events may have a few times more.
pub const MAX_PAGE_BYTES: usize = 8 << 20;

/// The start and the direction of a read, exclusive of the bound itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom<T> {
    /// Forward, starting just after this bound.
    After(T),
    /// Backward, starting just before this bound.
    Before(T),
}

/// Some events of a stream, in the direction asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPage {
    /// The events, at most as many as the limit, and fewer if they are large ([`MAX_PAGE_BYTES`]).
    pub events: Vec<Envelope>,
    /// The start of the next page; `None` if there are no more events.
    pub next: Option<ReadFrom<Version>>,
}

/// Some events of the log, in the direction asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The events, at most as many as the limit, and fewer if they are large ([`MAX_PAGE_BYTES`]).
    pub events: Vec<Envelope>,
    /// Of a forward read: the position up to which every matching event has been delivered, and
    /// after which the next page begins. At the head of the log it is the head, even if the last
    /// events did not match. Of a backward read: the position of the last event, or
    /// [`Position::START`] at the end.
    pub through: Position,
    /// True if more may follow at once; if false, the reader has all events that there were.
    pub more: bool,
}
