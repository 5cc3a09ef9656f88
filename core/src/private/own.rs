//! The functions of the user's own `impl` block, as an expansion finds them, and the messages about
//! missing ones.

use crate::domain::{Envelope, EventContext};

/// The types that the functions in the user's own `impl` block are about. It carries them into a
/// module in which no trait is in scope.
pub trait Own {
    /// The state.
    type State: 'static;
    /// Its events.
    type Event;
}

/// Stands in for an `apply` that the user has not written: an inherent function takes precedence,
/// so this one is found only if there is none, and nothing satisfies its condition.
pub trait MissingApply {
    /// Never called.
    fn apply<E>(&mut self, _event: &E)
    where
        Self: HasApply,
    {
    }
}

impl<S> MissingApply for S {}

/// A condition that nothing satisfies, for the sake of its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no function that applies its events",
    label = "write `fn apply(&mut self, event: &…)` in `impl {Self}`"
)]
pub trait HasApply {}

/// Stands in for a `fold` that the user has not written.
pub trait MissingFold {
    /// Never called.
    fn fold<E>(&mut self, _event: &E, _at: &EventContext<'_>)
    where
        Self: HasFold,
    {
    }
}

impl<S> MissingFold for S {}

/// A condition that nothing satisfies, for the sake of its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no function that folds its events",
    label = "write `fn fold(&mut self, event: &…, at: &EventContext<'_>)` in `impl {Self}`"
)]
pub trait HasFold {}

/// Stands in for a `key` that the user has not written.
pub trait MissingKey {
    /// Never called.
    fn key<E>(_event: &E, _envelope: &Envelope) -> Option<String>
    where
        Self: HasKey,
    {
        None
    }
}

impl<S> MissingKey for S {}

/// A condition that nothing satisfies, for the sake of its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no function that names the rows which an event changes",
    label = "write `fn key(event: &…, envelope: &Envelope) -> Option<String>` in `impl {Self}`",
    note = "or `#[view(by_stream = …)]`, if each row has the events of one stream: its key is then that of the stream"
)]
pub trait HasKey {}

/// The `key` of a view by stream, unless the user has written one.
pub trait KeyOfStream {
    /// The key of the stream.
    fn key<'a, E>(_event: &E, envelope: &'a Envelope) -> &'a str {
        envelope.stream.key()
    }
}

impl<S> KeyOfStream for S {}
