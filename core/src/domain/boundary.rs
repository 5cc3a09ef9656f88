//! Decisions over a query instead of a stream (W6).

use super::Decider;
use crate::{Error, domain::Query, value::StreamId};

/// A decision that depends on all events that match a query, not on one stream: a *dynamic
/// consistency boundary* (the idea is Sara Pellegrini's and Milan Savić's, *Kill Aggregate*).
///
/// The value starts as the question ("is the name `bob` taken?"), is folded from exactly the events
/// that match [`Boundary::query`], and then decides. The new events are appended only if no further
/// matching event has been appended meanwhile.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a consistency boundary",
    label = "not a consistency boundary",
    note = "implement `Boundary` (its query and the stream for new events) beside `#[derive(Decider)]`"
)]
pub trait Boundary: Decider {
    /// The events that the decision depends on. The query is narrowed to [`Event::NAMES`](super::Event::NAMES)
    /// where it names no types.
    ///
    /// A tag that the events have had only since an earlier version of the program is missing on those that
    /// were stored before. The boundary refuses to decide
    /// ([`Corrupt::Untagged`](crate::error::Corrupt::Untagged)) until
    /// [`Highwater::retag`](crate::Highwater::retag) has added it.
    fn query(&self) -> Query;

    /// The stream that new events are appended to.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the id can't be made.
    fn stream(&self) -> Result<StreamId, Error>;
}
