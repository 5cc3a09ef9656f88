//! What `#[derive(Event)]` knows of an enum once its attributes have been read.

use proc_macro2::{Ident, Span};
use syn::{Attribute, Fields, Type};

use crate::shared::Name;

/// The enum.
pub(super) struct EventEnum {
    pub(super) ident: Ident,
    pub(super) prefix: Option<Name>,
    pub(super) retired: Vec<Name>,
    pub(super) variants: Vec<Variant>,
}

/// One kind of event.
pub(super) struct Variant {
    pub(super) ident: Ident,
    /// The type name that is written; none if there is neither a prefix nor a name.
    pub(super) name: Option<Name>,
    /// The names that it had before.
    pub(super) formerly: Vec<Name>,
    pub(super) version: Version,
    /// The payloads of the versions before this one, oldest first.
    pub(super) upcast: Vec<Type>,
    pub(super) fields: Fields,
    /// Passed on to the payload structs.
    pub(super) attrs: Vec<Attribute>,
    pub(super) tags: Vec<FieldTag>,
}

/// The schema version that is written.
#[derive(Clone, Copy)]
pub(super) struct Version {
    pub(super) number: u32,
    pub(super) place: Span,
}

/// A field whose value is a tag.
pub(super) struct FieldTag {
    /// Which of the variant's fields.
    pub(super) field: usize,
    /// The tag's name; none if it can't be told from the field.
    pub(super) name: Option<Name>,
    pub(super) place: Span,
}

impl EventEnum {
    /// Every name that is decoded, in the order in which it stands in the source.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.retired.iter().chain(self.variants.iter().flat_map(Variant::names))
    }
}

impl Variant {
    /// The name that is written, and the names that it had before.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.name.iter().chain(&self.formerly)
    }
}
