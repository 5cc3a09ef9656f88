//! Writes the implementation of `Event`.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Fields, Ident, spanned::Spanned};

use super::{
    decode,
    model::{EventEnum, EventVariant},
};
use crate::shared::{Name, Payload, Root, hygienic, hygienic_at};

pub(super) fn expand(root: &Root, event: &EventEnum) -> TokenStream {
    let ident = &event.ident;
    let payloads = event.variants.iter().map(|variant| payload(root, variant).items());
    let names = event.names().map(|name| &name.text);
    let event_type = event_type(root, event);
    let tags = tags(root, event);
    let can_have_tag = can_have_tag(event);
    let always_has_tag = always_has_tag(event);
    let encode = encode(root, event);
    let decode = decode::function(root, event);
    hygienic! {
        #[allow(dead_code, deprecated, non_camel_case_types, reason = "generated")]
        const _: () = {
            #(#payloads)*

            #[automatically_derived]
            impl #root::Event for #ident {
                const NAMES: &'static [&'static str] = &[#(#names),*];
                #event_type
                #tags
                #can_have_tag
                #always_has_tag
                #encode
                #decode
            }
        };
    }
}

/// Writes a placeholder implementation after an error, so that the compiler reports only that error.
pub(super) fn stub(root: &Root, ident: &Ident) -> TokenStream {
    quote! {
        impl #root::Event for #ident {
            const NAMES: &'static [&'static str] = &[];
            fn event_type(&self) -> #root::EventType { loop {} }
            fn encode(
                &self,
                _: &mut ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<(), #root::serde_json::Error> { loop {} }
            fn decode(
                _: #root::RawEvent<'_>,
                _: &mut dyn ::core::ops::FnMut(Self),
            ) -> ::core::result::Result<(), #root::DecodeError> { loop {} }
        }
    }
}

pub(super) fn payload<'a>(root: &'a Root, variant: &'a EventVariant) -> Payload<'a> {
    Payload::new(root, &variant.ident, &variant.attrs, &variant.fields)
}

fn event_type(root: &Root, event: &EventEnum) -> TokenStream {
    let arms = event.variants.iter().map(|variant| {
        let ident = &variant.ident;
        let version = variant.version.number;
        let name = variant.name.iter().map(|name| &name.text);
        hygienic! {
            Self::#ident { .. } => #root::EventType {
                name: #(#name)*,
                version: #root::SchemaVersion::new(#version),
            },
        }
    });
    hygienic! {
        fn event_type(&self) -> #root::EventType {
            match self { #(#arms)* }
        }
    }
}

/// Writes nothing if no variant has a tag: the trait's default does the same.
fn tags(root: &Root, event: &EventEnum) -> Option<TokenStream> {
    let arms: Vec<TokenStream> =
        event.variants.iter().filter_map(|variant| tags_of(root, variant)).collect();
    let others = (arms.len() < event.variants.len()).then(|| hygienic!(_ => #root::Tags::none(),));
    (!arms.is_empty()).then(|| {
        hygienic! {
            fn tags(&self) -> #root::Tags {
                match self { #(#arms)* #others }
            }
        }
    })
}

fn tags_of(root: &Root, variant: &EventVariant) -> Option<TokenStream> {
    let ident = &variant.ident;
    let payload = payload(root, variant);
    let bindings = payload.bindings();
    let tags = variant.tags.iter().filter_map(|tag| {
        let Name { text, .. } = tag.name.as_ref()?;
        let ty = variant.fields.iter().nth(tag.field)?.ty.span();
        let value = bindings.get(tag.field)?;
        let new = hygienic_at!(ty=> #root::Tag::new);
        Some(hygienic!(#new(#text, #value)))
    });
    let tagged = variant.tags.iter().filter_map(|tag| bindings.get(tag.field));
    let body = match &variant.fields {
        Fields::Named(_) => hygienic!({ #(#tagged,)* .. }),
        _ => payload.body(),
    };
    (!variant.tags.is_empty()).then(|| {
        hygienic! {
            Self::#ident #body => #root::Tags::from([#(#tags),*]),
        }
    })
}

/// Writes which tags a stored event of each type can have. An upcaster may turn an old event into one of
/// another variant, so a variant with upcasters can have the tags of all.
fn can_have_tag(event: &EventEnum) -> TokenStream {
    let all: BTreeSet<&str> = event.variants.iter().flat_map(tag_names).collect();
    let arms = event.variants.iter().filter_map(|variant| match variant.upcast.is_empty() {
        true => tag_arm(variant, tag_names(variant).collect()),
        false => tag_arm(variant, all.clone()),
    });
    tag_function(&hygienic!(can_have_tag), &arms.collect::<Vec<_>>())
}

/// Writes which tags each new event has: those of its variant.
fn always_has_tag(event: &EventEnum) -> TokenStream {
    let arms = event.variants.iter().filter_map(|v| tag_arm(v, tag_names(v).collect()));
    tag_function(&hygienic!(always_has_tag), &arms.collect::<Vec<_>>())
}

/// Writes the arm of the names of a variant and these tags, if there is one.
fn tag_arm(variant: &EventVariant, tags: BTreeSet<&str>) -> Option<TokenStream> {
    let types = variant.names().map(|name| &name.text);
    (!tags.is_empty()).then(|| {
        let tags = tags.into_iter();
        hygienic!((#(#types)|*, #(#tags)|*) => true,)
    })
}

fn tag_function(name: &TokenStream, arms: &[TokenStream]) -> TokenStream {
    let body = match arms.is_empty() {
        true => hygienic!(false),
        false => hygienic!(match (type_name, tag_name) { #(#arms)* _ => false }),
    };
    hygienic! {
        #[allow(unused_variables, reason = "generated")]
        fn #name(
            type_name: &::core::primitive::str,
            tag_name: &::core::primitive::str,
        ) -> ::core::primitive::bool {
            #body
        }
    }
}

fn tag_names(variant: &EventVariant) -> impl Iterator<Item = &str> {
    variant.tags.iter().filter_map(|tag| Some(tag.name.as_ref()?.text.as_str()))
}

fn encode(root: &Root, event: &EventEnum) -> TokenStream {
    let arms = event.variants.iter().map(|variant| {
        let ident = &variant.ident;
        let payload = payload(root, variant);
        let body = payload.body();
        let write = payload.write();
        hygienic!(Self::#ident #body => #write,)
    });
    hygienic! {
        fn encode(
            &self,
            out: &mut ::std::vec::Vec<u8>,
        ) -> ::core::result::Result<(), #root::serde_json::Error> {
            match self { #(#arms)* }
        }
    }
}
