//! A field in the JSON of a row: the source of its column.

use proc_macro2::{Ident, Span};
use syn::Attribute;

use crate::shared::{Name, serde::serde_keys};

/// A field as serde writes it.
pub(super) struct JsonField {
    pub(super) name: Name,
    /// True if the field has a `rename`, which overrides a `rename_all` of the struct.
    pub(super) renamed: bool,
    /// The attribute that leaves the field out of the JSON.
    pub(super) absent: Option<Span>,
    /// The attribute that gives the field another JSON than its type.
    pub(super) converted: Option<Span>,
}

impl JsonField {
    pub(super) fn of(field: &Ident, attrs: &[Attribute]) -> Self {
        let name = Name::from_field(field);
        let mut json = Self { name, renamed: false, absent: None, converted: None };
        for key in serde_keys(attrs) {
            match key.name.as_str() {
                "rename" => {
                    json.name = key.text.unwrap_or(json.name);
                    json.renamed = true;
                }
                "flatten" => json.absent = Some(key.place),
                "with" | "serialize_with" => json.converted = Some(key.place),
                _ => {}
            }
        }
        json
    }
}
