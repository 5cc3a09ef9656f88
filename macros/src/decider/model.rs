//! The model of `#[derive(Aggregate)]` and `#[derive(Decider)]`: a type with its attributes parsed.

use proc_macro2::{Ident, Span};
use syn::{Attribute, Fields, LitStr, Type};

use crate::shared::Name;

/// State that is folded from events.
pub(super) struct StateType {
    pub(super) ident: Ident,
    /// The events that change it; required.
    pub(super) event: Option<Type>,
    pub(super) services: Option<Type>,
    pub(super) invariants: Vec<InvariantAttribute>,
    pub(super) category: Name,
    pub(super) snapshot: Option<SnapshotKeys>,
    /// The fields of a struct; none for an enum.
    pub(super) fields: Option<Fields>,
    /// Passed on to the structs through which snapshots are written and read.
    pub(super) attrs: Vec<Attribute>,
}

/// `#[invariant(name, "statement")]`.
pub(super) struct InvariantAttribute {
    pub(super) name: Ident,
    pub(super) statement: LitStr,
}

/// `snapshot(every = 100, bytes = 65536, version = 2)`.
pub(super) struct SnapshotKeys {
    pub(super) every: u64,
    pub(super) bytes: u64,
    pub(super) version: u32,
    pub(super) place: Span,
}
