//! Checks that all derives share.

use syn::{Attribute, DeriveInput, Fields};

use super::Diagnostics;

/// Refuses generic types: stored data has one meaning.
pub(crate) fn refuse_generics(input: &DeriveInput, what: &str, diagnostics: &mut Diagnostics) {
    if !input.generics.params.is_empty() {
        let message = format!("{what} can't be generic");
        diagnostics.on(&input.generics, message);
    }
}

/// Refuses attributes of the type at its fields, where they would be ignored.
pub(crate) fn refuse_misplaced(fields: &Fields, names: &[&str], diagnostics: &mut Diagnostics) {
    let ours = |attr: &&Attribute| names.iter().any(|name| attr.path().is_ident(name));
    for attr in fields.iter().flat_map(|field| &field.attrs).filter(ours) {
        diagnostics.on(attr, "this attribute belongs above the type, not at a field");
    }
}
