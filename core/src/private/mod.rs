//! The items that the code of derive macros names. Not for anything else: nothing in here is
//! stable.

mod column;
mod own;
mod union;

use std::fmt::Display;

pub use crate::{
    domain::{
        Aggregate, Column, ColumnKind, Command, Decide, Decider, DecodeError, Envelope, Event,
        EventContext, EventType, FoldResult, Index, IntoCheck, IntoFoldResult, IntoKeys, Invariant,
        KeyedBy, Keys, RawEvent, SnapshotPolicy, Targeted, View,
    },
    json::{read, write, write_to_compare},
    value::{SchemaVersion, Tag, Tags},
};
pub use column::ColumnType;
pub use own::{HasApply, HasFold, HasKey, KeyOfStream, MissingApply, MissingFold, MissingKey, Own};
pub use serde;
pub use serde_json;
pub use union::{all_names, differ};

use crate::domain::Upcast;

/// Returns the text of a key.
pub fn text(key: &impl Display) -> String {
    key.to_string()
}

/// Runs one step of a chain of upcasters, from one schema version to the next.
pub fn upcast<Old, New>(old: Old, next: &mut dyn FnMut(New))
where
    Old: Upcast<Next = New>,
{
    old.upcast().into_iter().for_each(next);
}
