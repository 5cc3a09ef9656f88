//! What the derive macros write paths to. Not for anything else: nothing in here is promised.

use std::fmt::Display;

use serde::{Serialize, de::DeserializeOwned};

pub use crate::{
    domain::{
        Aggregate, Command, Decide, Decider, DecodeError, Event, EventType, IntoCheck, Invariant,
        RawEvent, Snapshotting, Targeted,
    },
    value::{SchemaVersion, Tag, Tags},
};
pub use serde;
pub use serde_json;

use crate::domain::Upcast;

/// Writes the JSON of `value`.
pub fn write<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), serde_json::Error> {
    serde_json::to_writer(out, value)
}

/// Reads the JSON of a `T`.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(json)
}

/// The text of a key.
pub fn text(key: &impl Display) -> String {
    key.to_string()
}

/// One step of a chain of upcasters, from one schema version to the next.
pub fn upcast<Old, New>(old: Old, next: &mut dyn FnMut(New))
where
    Old: Upcast<Next = New>,
{
    old.upcast().into_iter().for_each(next);
}

/// The types that the functions in the user's own `impl` block are about. It carries them into a
/// module in which no trait is in scope.
pub trait Own {
    /// The state.
    type State: 'static;
    /// Its events.
    type Event;
}

/// Stands in for an `apply` that the user has not written: a function of one's own comes first, so
/// this one is found only if there is none, and nothing satisfies its condition.
pub trait MissingApply {
    /// Never called.
    fn apply<E>(&mut self, _event: &E)
    where
        Self: HasApply,
    {
    }
}

impl<S> MissingApply for S {}

/// What nothing satisfies, for the sake of its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no function that applies its events",
    label = "write `fn apply(&mut self, event: &…)` in `impl {Self}`"
)]
pub trait HasApply {}
