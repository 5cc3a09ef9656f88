//! What a field is in the JSON of the row: a column is made of that.

use proc_macro2::{Ident, Span};
use syn::Attribute;

use crate::shared::{Name, serde::serde_keys};

/// What serde makes of a field.
pub(super) struct Member {
    pub(super) name: Name,
    /// Whether the name is its own, which a `rename_all` above the struct leaves alone.
    pub(super) renamed: bool,
    /// Where it is said that there is no such member.
    pub(super) absent: Option<Span>,
    /// Where it is said that its JSON is not that of its type.
    pub(super) converted: Option<Span>,
}

impl Member {
    pub(super) fn of(field: &Ident, attrs: &[Attribute]) -> Self {
        let name = Name::from_field(field);
        let mut member = Self { name, renamed: false, absent: None, converted: None };
        for key in serde_keys(attrs) {
            match key.name.as_str() {
                "rename" => {
                    member.name = key.text.unwrap_or(member.name);
                    member.renamed = true;
                }
                "skip" | "skip_serializing" | "flatten" => member.absent = Some(key.place),
                "with" | "serialize_with" => member.converted = Some(key.place),
                _ => {}
            }
        }
        member
    }
}
