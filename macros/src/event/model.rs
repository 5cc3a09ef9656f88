//! The model of `#[derive(Event)]`: an enum with its attributes parsed.

use proc_macro2::{Ident, Span};
use syn::{Attribute, Fields, Type};

use crate::shared::Name;

/// The enum.
pub(super) struct EventEnum {
    pub(super) ident: Ident,
    pub(super) prefix: Option<Name>,
    pub(super) retired: Vec<Name>,
    pub(super) variants: Vec<EventVariant>,
}

/// One kind of event.
pub(super) struct EventVariant {
    pub(super) ident: Ident,
    /// The type name that is written; none if there is neither a prefix nor a name.
    pub(super) name: Option<Name>,
    /// The earlier type names.
    pub(super) formerly: Vec<Name>,
    pub(super) version: WrittenVersion,
    /// The payloads of the versions before this one, oldest first.
    pub(super) upcast: Vec<Type>,
    pub(super) fields: Fields,
    /// Passed on to the payload structs.
    pub(super) attrs: Vec<Attribute>,
    pub(super) tags: Vec<FieldTag>,
}

/// The schema version that is written.
#[derive(Clone, Copy)]
pub(super) struct WrittenVersion {
    pub(super) number: u32,
    pub(super) place: Span,
}

/// A field whose value becomes a tag.
pub(super) struct FieldTag {
    /// The index of the field in the variant.
    pub(super) field: usize,
    /// The tag's name; none if the field is unnamed and the attribute gives none.
    pub(super) name: Option<Name>,
    pub(super) place: Span,
}

impl EventEnum {
    /// Returns every type name that is decoded, in source order.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.retired.iter().chain(self.variants.iter().flat_map(EventVariant::names))
    }
}

impl EventVariant {
    /// Returns the name that is written, and the earlier names.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.name.iter().chain(&self.formerly)
    }
}
