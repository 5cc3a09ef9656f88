//! Pages of events, as a store returns them.

use crate::{
    domain::Envelope,
    value::{Position, Version},
};

/// The start and the direction of a read, the bound itself not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom<T> {
    /// Forward, from just after here.
    After(T),
    /// Backward, from just before here.
    Before(T),
}

/// Some events of a stream, in the direction asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPage {
    /// The events, at most as many as the limit.
    pub events: Vec<Envelope>,
    /// The start of the next page; `None` if there are no more events.
    pub next: Option<ReadFrom<Version>>,
}

/// Some events of the log, in the direction asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The events, at most as many as the limit.
    pub events: Vec<Envelope>,
    /// Reading forward: up to here every matching event has been delivered, and here the next page
    /// begins. At the head of the log it is the head, also if the last events didn't match.
    /// Reading backward: the position of the last event, or [`Position::START`] at the end.
    pub through: Position,
    /// True if more may follow at once; if not, the reader has everything there was.
    pub more: bool,
}
