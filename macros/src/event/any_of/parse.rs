//! Reads the enum and its attributes.

use syn::{Attribute, Data, DeriveInput, Fields, Type, Variant};

use super::model::{Union, UnionVariant};
use crate::shared::{AttributeKeys, Diagnostics, keys, refuse_generics};

const ON_UNION: AttributeKeys = AttributeKeys {
    attribute: "event",
    place: "on a union",
    allowed: &["any_of"],
    repeatable: &[],
};

/// Returns true if these attributes of a type make it a union.
pub(in crate::event) fn is_union(attrs: &[Attribute]) -> bool {
    let mut is_union = false;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(ON_UNION.attribute)) {
        // A syntax error ends the attribute; `parse` reports it.
        let _ = attr.parse_nested_meta(|meta| {
            is_union |= meta.path.is_ident("any_of");
            keys::skip_value(&meta)
        });
    }
    is_union
}

pub(super) fn parse(input: DeriveInput, diagnostics: &mut Diagnostics) -> Union {
    refuse_generics(&input, "an event", diagnostics);
    ON_UNION.read(&input.attrs, diagnostics, |_, _| Ok(()));
    let Data::Enum(data) = input.data else {
        let message = "`#[event(any_of)]` is for an enum: one variant for each of the events";
        diagnostics.at(input.ident.span(), message);
        return Union { ident: input.ident, variants: Vec::new() };
    };
    let variants =
        data.variants.into_iter().map(|variant| union_variant(variant, diagnostics)).collect();
    Union { ident: input.ident, variants }
}

fn union_variant(variant: Variant, diagnostics: &mut Diagnostics) -> UnionVariant {
    let at_fields = variant.fields.iter().flat_map(|field| &field.attrs);
    variant.attrs.iter().chain(at_fields).for_each(|attr| refuse_ours(attr, diagnostics));
    UnionVariant { ident: variant.ident, event: wrapped(variant.fields) }
}

fn wrapped(fields: Fields) -> Option<Type> {
    let Fields::Unnamed(fields) = fields else { return None };
    let mut fields = fields.unnamed.into_iter();
    fields.next().filter(|_| fields.next().is_none()).map(|field| field.ty)
}

fn refuse_ours(attr: &Attribute, diagnostics: &mut Diagnostics) {
    if ["event", "serde"].iter().any(|ours| attr.path().is_ident(ours)) {
        let message = "move this to the wrapped event: a union has no attributes on its variants";
        diagnostics.on(attr, message);
    }
}
