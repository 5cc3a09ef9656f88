//! Reads the enum and its attributes.

use syn::{Attribute, Data, DeriveInput, Fields, Type, Variant};

use super::model::{Member, Union};
use crate::shared::{Keys, Mistakes, keys, refuse_generics};

const ON_UNION: Keys =
    Keys { attribute: "event", place: "on a union", allowed: &["any_of"], repeatable: &[] };

/// Whether these attributes, above a type, say that it is a union.
pub(in crate::event) fn is_meant(attrs: &[Attribute]) -> bool {
    let mut meant = false;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(ON_UNION.attribute)) {
        // A mistake ends the attribute; whoever reads it in earnest reports it.
        let _ = attr.parse_nested_meta(|meta| {
            meant |= meta.path.is_ident("any_of");
            keys::pass_over(&meta)
        });
    }
    meant
}

pub(super) fn parse(input: DeriveInput, mistakes: &mut Mistakes) -> Union {
    refuse_generics(&input, "an event", mistakes);
    ON_UNION.read(&input.attrs, mistakes, |_, _| Ok(()));
    let Data::Enum(data) = input.data else {
        let message = "`#[event(any_of)]` is for an enum: one variant for each of the events";
        mistakes.at(input.ident.span(), message);
        return Union { ident: input.ident, members: Vec::new() };
    };
    let members = data.variants.into_iter().map(|variant| member(variant, mistakes)).collect();
    Union { ident: input.ident, members }
}

fn member(variant: Variant, mistakes: &mut Mistakes) -> Member {
    let at_fields = variant.fields.iter().flat_map(|field| &field.attrs);
    variant.attrs.iter().chain(at_fields).for_each(|attr| refuse_ours(attr, mistakes));
    Member { ident: variant.ident, event: wrapped(variant.fields) }
}

fn wrapped(fields: Fields) -> Option<Type> {
    let Fields::Unnamed(fields) = fields else { return None };
    let mut fields = fields.unnamed.into_iter();
    fields.next().filter(|_| fields.next().is_none()).map(|field| field.ty)
}

fn refuse_ours(attr: &Attribute, mistakes: &mut Mistakes) {
    if ["event", "serde"].iter().any(|ours| attr.path().is_ident(ours)) {
        let message = "this belongs to the event that is wrapped: a union adds nothing to it";
        mistakes.on(attr, message);
    }
}
