//! Reports the errors that the compiler would miss or explain badly.

use std::collections::HashMap;

use syn::Fields;

use super::model::{EventEnum, EventVariant, FieldTag};
use crate::shared::{Diagnostics, Name};

pub(super) fn validate(event: EventEnum) -> syn::Result<EventEnum> {
    let mut diagnostics = Diagnostics::default();
    if event.variants.is_empty() {
        diagnostics.at(event.ident.span(), "an event needs at least one variant");
    }
    check_names(&event, &mut diagnostics);
    for variant in &event.variants {
        check_fields(variant, &mut diagnostics);
        check_version(variant, &mut diagnostics);
        variant.tags.iter().for_each(|tag| check_tag(tag, &mut diagnostics));
    }
    diagnostics.or(event)
}

/// Checks the type names. A bad prefix is reported once, not again in the name of every variant.
fn check_names(event: &EventEnum, diagnostics: &mut Diagnostics) {
    if let Some(error) = event.prefix.as_ref().and_then(|p| p.fault("prefix", "_.-")) {
        return diagnostics.push(error);
    }
    check_are_named(event, diagnostics);
    for error in event.names().filter_map(|name| name.fault("type name", "_.-")) {
        diagnostics.push(error);
    }
    check_names_differ(event, diagnostics);
}

/// Checks that every variant has a type name. If none has one, the prefix was forgotten: that is one error.
fn check_are_named(event: &EventEnum, diagnostics: &mut Diagnostics) {
    if !event.variants.is_empty() && event.variants.iter().all(|variant| variant.name.is_none()) {
        let message = "its events have no type names: write `#[event(prefix = \"…\")]` above it";
        return diagnostics.at(event.ident.span(), message);
    }
    event.variants.iter().for_each(|variant| check_is_named(variant, diagnostics));
}

fn check_is_named(variant: &EventVariant, diagnostics: &mut Diagnostics) {
    if variant.name.is_none() {
        let message = format!(
            "`{}` has no type name: write `#[event(prefix = \"…\")]` above the enum, or \
             `#[event(name = \"…\")]` here",
            variant.ident
        );
        diagnostics.at(variant.ident.span(), message);
    }
}

fn check_names_differ(event: &EventEnum, diagnostics: &mut Diagnostics) {
    let mut owners: HashMap<&str, String> = HashMap::new();
    let retired = event.retired.iter().map(|name| (name, "a retired type".to_owned()));
    let variants = event.variants.iter().flat_map(|variant| {
        variant.names().map(move |name| (name, format!("`{}`", variant.ident)))
    });
    for (Name { text, place }, owner) in retired.chain(variants) {
        match owners.get(text.as_str()) {
            Some(first) => {
                let message = format!("the type name `{text}` is already that of {first}");
                diagnostics.at(*place, message);
            }
            None => drop(owners.insert(text, owner)),
        }
    }
}

fn check_fields(variant: &EventVariant, diagnostics: &mut Diagnostics) {
    let Fields::Unnamed(fields) = &variant.fields else { return };
    if fields.unnamed.len() != 1 {
        let message = format!(
            "`{}` must have one unnamed field, whose JSON is the payload, or named fields: the \
             payload is an object of their names",
            variant.ident
        );
        diagnostics.at(variant.ident.span(), message);
    }
}

fn check_version(variant: &EventVariant, diagnostics: &mut Diagnostics) {
    let version = variant.version;
    let found = variant.upcast.len();
    let Some(needed) = version.number.checked_sub(1) else {
        return diagnostics.at(version.place, "schema versions begin at 1");
    };
    if found != needed as usize {
        let needs = match needed {
            0 => "no upcasters".to_owned(),
            1 => "1 upcaster (from 1)".to_owned(),
            2 => "2 upcasters (from 1 and 2)".to_owned(),
            many => format!("{many} upcasters (from 1 to {many})"),
        };
        let message = format!("version {} needs {needs}; found {found}", version.number);
        diagnostics.at(version.place, message);
    }
}

fn check_tag(tag: &FieldTag, diagnostics: &mut Diagnostics) {
    match &tag.name {
        Some(name) => {
            name.fault("tag name", "_.-").into_iter().for_each(|error| diagnostics.push(error));
        }
        None => diagnostics.at(tag.place, "this field has no name: write `#[event(tag = \"…\")]`"),
    }
}
