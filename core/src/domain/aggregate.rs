//! Aggregates: pure state that decides on commands.

use std::{ops::Deref, sync::Arc};

use jiff::Timestamp;

use super::{Command, Event, Invariant, Metadata};
use crate::{
    error::Rejection,
    value::{CommandId, SchemaVersion},
};

/// State that is folded from events and guarded by invariants: what an [`Aggregate`] and a
/// [`Boundary`](super::Boundary) have in common. Pure: no I/O, no clock, no randomness.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not folded from events",
    label = "not folded from events",
    note = "write `#[derive(Aggregate)]` for the state of one stream, or `#[derive(Decider)]` for a boundary"
)]
pub trait Decider: Clone + Send + Sync + 'static {
    /// The events that change it.
    type Event: Event;
    /// The external input of decisions, for example a price list; `()` if there is none.
    type Services: Send + Sync + 'static;
    /// The conditions for every state that a command leaves behind.
    const INVARIANTS: &'static [Invariant<Self>];

    /// Applies one event to the state. It can't fail: the event has happened.
    fn apply(&mut self, event: &Self::Event);
}

/// The state of one stream.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "not an aggregate",
    note = "write `#[derive(Aggregate, Default, Clone)]` and `#[aggregate(event = …)]` above the struct"
)]
pub trait Aggregate: Decider + Default {
    /// The category of its streams: the stream of key `alice` is `CATEGORY-alice`.
    const CATEGORY: &'static str;
    /// The policy for snapshots, if any are taken.
    const SNAPSHOTS: Option<SnapshotPolicy<Self>> = None;
}

/// The decision of a state on one kind of command.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide on `{C}`",
    label = "no decision on this command",
    note = "implement `Decide<{C}> for {Self}`"
)]
pub trait Decide<C: Command>: Decider {
    /// Returns the events that the command leads to in the current state; none if it changes
    /// nothing.
    ///
    /// # Errors
    /// A [`Rejection`] if the domain refuses the command.
    fn decide(&self, command: &C, context: &Context<Self::Services>) -> Decision<Self::Event>;
}

/// The result of a decision: events, or a rejection.
pub type Decision<E> = Result<Vec<E>, Rejection>;

/// The input of a decision besides state and command. It is fixed for one execution of a command,
/// so a decision that is repeated after a conflict sees the same.
///
/// It dereferences to the services.
#[derive(Debug)]
pub struct Context<S = ()> {
    /// The id of the command.
    pub command: CommandId,
    /// The time by the configured clock.
    pub now: Timestamp,
    /// The circumstances of the command: actor, correlation, and so on.
    pub metadata: Metadata,
    /// The injected services.
    pub services: Arc<S>,
}

impl<S> Deref for Context<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.services
    }
}

/// The policy for snapshots of an aggregate: the times at which they are taken, and the encoding of
/// the state.
pub struct SnapshotPolicy<A> {
    /// The number of events since the last snapshot after which the next is due; 0 for never by
    /// count.
    pub every: u64,
    /// The number of bytes of payload since the last snapshot after which the next is due; 0 for
    /// never by size.
    pub bytes: u64,
    /// The schema version of the state: a stored snapshot of another version is ignored.
    pub schema: SchemaVersion,
    /// The shape of the state: a text that names its fields and their types. A stored snapshot of another shape is
    /// ignored, because a field that it lacks may be one that an invariant is about.
    pub shape: &'static str,
    /// Encodes a state.
    pub encode: fn(&A) -> Result<Vec<u8>, serde_json::Error>,
    /// Decodes a state.
    pub decode: fn(&[u8]) -> Result<A, serde_json::Error>,
}

impl<A> std::fmt::Debug for SnapshotPolicy<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotPolicy")
            .field("every", &self.every)
            .field("bytes", &self.bytes)
            .field("schema", &self.schema)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl<A> SnapshotPolicy<A> {
    /// Returns true if a snapshot is due after this many events and bytes since the last one.
    #[must_use]
    pub const fn is_due(&self, events: u64, bytes: u64) -> bool {
        (self.every > 0 && events >= self.every) || (self.bytes > 0 && bytes >= self.bytes)
    }
}
