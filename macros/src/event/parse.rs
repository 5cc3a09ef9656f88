//! Reads the enum and its attributes.

use proc_macro2::Span;
use syn::{Data, DeriveInput, LitStr, Token, Type, spanned::Spanned};

use super::model::{EventEnum, EventVariant, FieldTag, WrittenVersion};
use crate::shared::{AttributeKeys, Diagnostics, Name, keys, refuse_generics};

const ON_ENUM: AttributeKeys = AttributeKeys {
    attribute: "event",
    place: "on an enum",
    allowed: &["prefix", "retired", "any_of"],
    repeatable: &[],
};
const ON_VARIANT: AttributeKeys = AttributeKeys {
    attribute: "event",
    place: "on a variant",
    allowed: &["name", "formerly", "version", "upcast"],
    repeatable: &[],
};
const ON_FIELD: AttributeKeys =
    AttributeKeys { attribute: "event", place: "on a field", allowed: &["tag"], repeatable: &[] };

pub(super) fn parse(input: DeriveInput) -> syn::Result<EventEnum> {
    let mut diagnostics = Diagnostics::default();
    refuse_generics(&input, "an event", &mut diagnostics);
    let Data::Enum(data) = input.data else {
        let message = "`#[derive(Event)]` is for an enum: one variant for each kind of event";
        diagnostics.at(input.ident.span(), message);
        return diagnostics.or(None)?.ok_or_else(|| syn::Error::new(Span::call_site(), message));
    };
    let mut event = EventEnum {
        ident: input.ident,
        prefix: None,
        retired: Vec::new(),
        variants: Vec::with_capacity(data.variants.len()),
    };
    ON_ENUM.read(&input.attrs, &mut diagnostics, |key, meta| {
        match key {
            "prefix" => event.prefix = Some(Name::written(&keys::text(meta)?)),
            _ => event.retired = names(meta)?,
        }
        Ok(())
    });
    for source in data.variants {
        let variant = variant(source, event.prefix.as_ref(), &mut diagnostics);
        event.variants.push(variant);
    }
    diagnostics.or(event)
}

fn variant(
    source: syn::Variant,
    prefix: Option<&Name>,
    diagnostics: &mut Diagnostics,
) -> EventVariant {
    let mut variant = EventVariant {
        name: prefix.map(|prefix| prefixed(prefix, &source.ident)),
        formerly: Vec::new(),
        version: WrittenVersion { number: 1, place: source.ident.span() },
        upcast: Vec::new(),
        tags: tags(&source.fields, diagnostics),
        ident: source.ident,
        fields: source.fields,
        attrs: Vec::new(),
    };
    ON_VARIANT.read(&source.attrs, diagnostics, |key, meta| {
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

fn version(meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<WrittenVersion> {
    let (number, literal) = keys::number(meta)?;
    Ok(WrittenVersion { number, place: literal.span() })
}

fn names(meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<Vec<Name>> {
    Ok(keys::list::<LitStr>(meta)?.iter().map(Name::written).collect())
}

fn tags(fields: &syn::Fields, diagnostics: &mut Diagnostics) -> Vec<FieldTag> {
    let mut tags = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        ON_FIELD.read(&field.attrs, diagnostics, |_, meta| {
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
