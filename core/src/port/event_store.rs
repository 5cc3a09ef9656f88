//! The event store.

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::{AddedTags, Append, Appended, LogPage, LogTransfer, ReadFrom, StreamPage, Untagged};
use crate::{
    Result,
    domain::{Fingerprint, Query},
    value::{CommandId, LogId, Position, StreamId, Version},
};

/// The answer to an append. The append goes on whether or not this is polled or dropped.
pub type AppendFuture = BoxFuture<'static, Result<Appended>>;

/// An append-only log with one total order, in streams (W1–W4, W6, W7).
///
/// Adapters are tested by the conformance suite of `highwater-stores`.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// The identity of the log: the same through every handle, in every process, and after a
    /// restart, and except by chance that of no other log. A copy of a database is the same log.
    fn log_id(&self) -> LogId;

    /// Appends events: all or none, once per command id, if every expectation is met.
    ///
    /// The append takes its place in the order when this is *called*: of two appends that one task
    /// makes in turn, the first is tried first, even if the second is polled first. Within an
    /// append, events get positions in the order of [`Append::streams`], and the answer has that
    /// order too. An append that failed leaves its command id free.
    ///
    /// # Errors
    /// In this order of precedence: [`Invalid`](crate::Error::Invalid) if a limit is exceeded or
    /// the command id was used for another command; a *repeated* answer if it was used for this
    /// one; [`Conflict`](crate::Error::Conflict); [`Unavailable`](crate::Error::Unavailable) if
    /// nothing was stored, [`UnknownOutcome`](crate::Error::UnknownOutcome) if that is not known.
    fn append(&self, append: Append) -> AppendFuture;

    /// Reads a page of one stream, at most `limit` events. It ends earlier if its events are large, but has at least
    /// one. With a limit of 0 the next page begins where this one did, as long as there are events.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), or [`Corrupt`](crate::Error::Corrupt) if a row
    /// can't be decoded.
    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage>;

    /// Reads a page of all streams in log order, at most `limit` events that match `query` (W3). It ends earlier if its
    /// events are large, but has at least one. `more` may be true although nothing follows if the page is full.
    ///
    /// # Errors
    /// As [`EventStore::read_stream`]; [`Invalid`](crate::Error::Invalid) if a tag of the query is
    /// malformed.
    async fn read_log(
        &self,
        query: &Query,
        from: ReadFrom<Position>,
        limit: usize,
    ) -> Result<LogPage>;

    /// Reads forward as [`EventStore::read_log`] does, and with the page, each event in its place, those that
    /// `untagged` selects. One snapshot of the log has both, so that an event to which a tag is being added
    /// is found in one way or the other (W6).
    ///
    /// # Errors
    /// As [`EventStore::read_log`].
    async fn read_log_and_untagged(
        &self,
        query: &Query,
        untagged: &Untagged,
        after: Position,
        limit: usize,
    ) -> Result<LogPage>;

    /// Adds tags to stored events, all or none: from then on, reads and conditions find the events by them.
    /// Nothing else of an event changes. Tags that an event has already, and positions without an event,
    /// are passed over, so that the call can be repeated.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if a tag is malformed; [`Unavailable`](crate::Error::Unavailable),
    /// after which the tags may have been added.
    async fn add_tags(&self, added: &[AddedTags]) -> Result<()>;

    /// Returns the position of the last event; [`Position::START`] if there is none.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn head(&self) -> Result<Position>;

    /// Waits until there may be events after `position`. It may return early, never late: a reader
    /// that finds no events afterwards waits again.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) if the store has been closed.
    async fn wait_for_append(&self, position: Position) -> Result<()>;

    /// Returns the record of a command; `None` if it has not been stored.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn find_command(&self, id: CommandId) -> Result<Option<RecordedCommand>>;

    /// The port through which the log is moved to another store.
    fn transfer(&self) -> &dyn LogTransfer;
}

/// A command that has been stored, with the answer it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCommand {
    /// The fingerprint by which a different command under the same id is recognised.
    pub fingerprint: Fingerprint,
    /// The answer, marked as repeated.
    pub appended: Appended,
}
