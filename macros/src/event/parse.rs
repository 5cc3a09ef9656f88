//! Reads the enum and its attributes.

use proc_macro2::Span;
use syn::{Data, DeriveInput, LitStr, Token, Type, spanned::Spanned};

use super::model::{EventEnum, FieldTag, Variant, Version};
use crate::shared::{Keys, Mistakes, Name, keys, refuse_generics};

const ON_ENUM: Keys = Keys {
    attribute: "event",
    place: "on an enum",
    allowed: &["prefix", "retired", "any_of"],
    repeatable: &[],
};
const ON_VARIANT: Keys = Keys {
    attribute: "event",
    place: "on a variant",
    allowed: &["name", "formerly", "version", "upcast"],
    repeatable: &[],
};
const ON_FIELD: Keys =
    Keys { attribute: "event", place: "on a field", allowed: &["tag"], repeatable: &[] };

pub(super) fn parse(input: DeriveInput) -> syn::Result<EventEnum> {
    let mut mistakes = Mistakes::default();
    refuse_generics(&input, "an event", &mut mistakes);
    let Data::Enum(data) = input.data else {
        let message = "`#[derive(Event)]` is for an enum: one variant for each kind of event";
        mistakes.at(input.ident.span(), message);
        return mistakes.or(None)?.ok_or_else(|| syn::Error::new(Span::call_site(), message));
    };
    let mut event = EventEnum {
        ident: input.ident,
        prefix: None,
        retired: Vec::new(),
        variants: Vec::with_capacity(data.variants.len()),
    };
    ON_ENUM.read(&input.attrs, &mut mistakes, |key, meta| {
        match key {
            "prefix" => event.prefix = Some(Name::written(&keys::text(meta)?)),
            _ => event.retired = names(meta)?,
        }
        Ok(())
    });
    for source in data.variants {
        let variant = variant(source, event.prefix.as_ref(), &mut mistakes);
        event.variants.push(variant);
    }
    mistakes.or(event)
}

fn variant(source: syn::Variant, prefix: Option<&Name>, mistakes: &mut Mistakes) -> Variant {
    let mut variant = Variant {
        name: prefix.map(|prefix| prefixed(prefix, &source.ident)),
        formerly: Vec::new(),
        version: Version { number: 1, place: source.ident.span() },
        upcast: Vec::new(),
        tags: tags(&source.fields, mistakes),
        ident: source.ident,
        fields: source.fields,
        attrs: Vec::new(),
    };
    ON_VARIANT.read(&source.attrs, mistakes, |key, meta| {
        match key {
            "name" => variant.name = Some(Name::written(&keys::text(meta)?)),
            "formerly" => variant.formerly = names(meta)?,
            "upcast" => variant.upcast = keys::list::<Type>(meta)?,
            _ => variant.version = version(meta)?,
        }
        Ok(())
    });
    variant.attrs = source.attrs;
    variant
}

fn prefixed(prefix: &Name, variant: &proc_macro2::Ident) -> Name {
    let Name { text, place } = Name::from_ident(variant);
    Name { text: format!("{}.{text}", prefix.text), place }
}

fn version(meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<Version> {
    let (number, literal) = keys::number(meta)?;
    Ok(Version { number, place: literal.span() })
}

fn names(meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<Vec<Name>> {
    Ok(keys::list::<LitStr>(meta)?.iter().map(Name::written).collect())
}

fn tags(fields: &syn::Fields, mistakes: &mut Mistakes) -> Vec<FieldTag> {
    let mut tags = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        ON_FIELD.read(&field.attrs, mistakes, |_, meta| {
            let mut name = field.ident.as_ref().map(Name::from_field);
            if meta.input.peek(Token![=]) {
                name = Some(Name::written(&keys::text(meta)?));
            }
            tags.push(FieldTag { field: index, name, place: meta.path.span() });
            Ok(())
        });
    }
    tags
}
