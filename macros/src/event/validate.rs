//! What the compiler would not find, or not say well.

use std::collections::HashMap;

use syn::Fields;

use super::model::{EventEnum, FieldTag, Variant};
use crate::shared::{Mistakes, Name};

pub(super) fn validate(event: EventEnum) -> syn::Result<EventEnum> {
    let mut mistakes = Mistakes::default();
    if event.variants.is_empty() {
        mistakes.at(event.ident.span(), "an event needs at least one variant");
    }
    check_names(&event, &mut mistakes);
    for variant in &event.variants {
        check_fields(variant, &mut mistakes);
        check_version(variant, &mut mistakes);
        variant.tags.iter().for_each(|tag| check_tag(tag, &mut mistakes));
    }
    mistakes.or(event)
}

/// A bad prefix is said once, not again in the name of every variant.
fn check_names(event: &EventEnum, mistakes: &mut Mistakes) {
    if let Some(mistake) = event.prefix.as_ref().and_then(|p| p.fault("prefix", "_.-")) {
        return mistakes.add(mistake);
    }
    check_are_named(event, mistakes);
    for mistake in event.names().filter_map(|name| name.fault("type name", "_.-")) {
        mistakes.add(mistake);
    }
    check_names_differ(event, mistakes);
}

/// Where no variant has a name, it is the prefix that was forgotten: one mistake, not many.
fn check_are_named(event: &EventEnum, mistakes: &mut Mistakes) {
    if !event.variants.is_empty() && event.variants.iter().all(|variant| variant.name.is_none()) {
        let message = "its events have no type names: write `#[event(prefix = \"…\")]` above it";
        return mistakes.at(event.ident.span(), message);
    }
    event.variants.iter().for_each(|variant| check_is_named(variant, mistakes));
}

fn check_is_named(variant: &Variant, mistakes: &mut Mistakes) {
    if variant.name.is_none() {
        let message = format!(
            "`{}` has no type name: write `#[event(prefix = \"…\")]` above the enum, or \
             `#[event(name = \"…\")]` here",
            variant.ident
        );
        mistakes.at(variant.ident.span(), message);
    }
}

fn check_names_differ(event: &EventEnum, mistakes: &mut Mistakes) {
    let mut owners: HashMap<&str, String> = HashMap::new();
    let retired = event.retired.iter().map(|name| (name, "a retired type".to_owned()));
    let variants = event.variants.iter().flat_map(|variant| {
        variant.names().map(move |name| (name, format!("`{}`", variant.ident)))
    });
    for (Name { text, place }, owner) in retired.chain(variants) {
        match owners.get(text.as_str()) {
            Some(first) => {
                let message = format!("the type name `{text}` is already that of {first}");
                mistakes.at(*place, message);
            }
            None => drop(owners.insert(text, owner)),
        }
    }
}

fn check_fields(variant: &Variant, mistakes: &mut Mistakes) {
    let Fields::Unnamed(fields) = &variant.fields else { return };
    if fields.unnamed.len() != 1 {
        let message = format!(
            "`{}` must have one unnamed field, whose JSON is the payload, or named fields: the \
             payload is an object of their names",
            variant.ident
        );
        mistakes.at(variant.ident.span(), message);
    }
}

fn check_version(variant: &Variant, mistakes: &mut Mistakes) {
    let (version, found) = (variant.version, variant.upcast.len());
    let Some(needed) = version.number.checked_sub(1) else {
        return mistakes.at(version.place, "schema versions begin at 1");
    };
    if found != needed as usize {
        let needs = match needed {
            0 => "no upcasters".to_owned(),
            1 => "1 upcaster (from 1)".to_owned(),
            2 => "2 upcasters (from 1 and 2)".to_owned(),
            many => format!("{many} upcasters (from 1 to {many})"),
        };
        let message = format!("version {} needs {needs}; found {found}", version.number);
        mistakes.at(version.place, message);
    }
}

fn check_tag(tag: &FieldTag, mistakes: &mut Mistakes) {
    match &tag.name {
        Some(name) => {
            name.fault("tag name", "_.-").into_iter().for_each(|mistake| mistakes.add(mistake));
        }
        None => mistakes.at(tag.place, "this field has no name: write `#[event(tag = \"…\")]`"),
    }
}
