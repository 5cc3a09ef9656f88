//! What no derive takes.

use syn::{Attribute, DeriveInput, Fields};

use super::Mistakes;

/// What is stored has one meaning, so none of the types may be generic.
pub(crate) fn refuse_generics(input: &DeriveInput, what: &str, mistakes: &mut Mistakes) {
    if !input.generics.params.is_empty() {
        let message = format!("{what} can't be generic");
        mistakes.on(&input.generics, message);
    }
}

/// An attribute that belongs above the type would be overlooked at a field.
pub(crate) fn refuse_misplaced(fields: &Fields, names: &[&str], mistakes: &mut Mistakes) {
    let ours = |attr: &&Attribute| names.iter().any(|name| attr.path().is_ident(name));
    for attr in fields.iter().flat_map(|field| &field.attrs).filter(ours) {
        mistakes.on(attr, "this attribute belongs above the type, not at a field");
    }
}
