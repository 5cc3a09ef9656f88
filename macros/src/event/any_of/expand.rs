//! Writes the implementation of `Event`: each function delegates to the wrapped event.

use proc_macro2::TokenStream;
use syn::{Ident, Type, spanned::Spanned};

use super::model::Union;
use crate::shared::{Root, hygienic, hygienic_at};

pub(super) fn expand(root: &Root, union: &Union) -> TokenStream {
    let ident = &union.ident;
    let variants = variants(union);
    let differ = assert_names_differ(root, &variants);
    let names = names(root, &variants);
    let decode = decode(root, &variants);
    let can_have_tag = tag_function(root, &variants, &hygienic!(can_have_tag));
    let always_has_tag = tag_function(root, &variants, &hygienic!(always_has_tag));
    let delegate = |function, arguments| delegate(root, &variants, &function, &arguments);
    let event_type = delegate(hygienic!(event_type), hygienic!());
    let tags = delegate(hygienic!(tags), hygienic!());
    let encode = delegate(hygienic!(encode), hygienic!(out));
    hygienic! {
        #[allow(dead_code, deprecated, reason = "generated")]
        const _: () = {
            #differ

            #[automatically_derived]
            impl #root::Event for #ident {
                #names

                fn event_type(&self) -> #root::EventType {
                    #event_type
                }

                fn tags(&self) -> #root::Tags {
                    #tags
                }

                #can_have_tag

                #always_has_tag

                fn encode(
                    &self,
                    out: &mut ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<(), #root::serde_json::Error> {
                    #encode
                }

                #decode
            }
        };
    }
}

/// Returns the variants with the types that they wrap.
fn variants(union: &Union) -> Vec<(&Ident, &Type)> {
    union
        .variants
        .iter()
        .filter_map(|variant| Some((&variant.ident, variant.event.as_ref()?)))
        .collect()
}

/// Writes one assertion for each pair of variants, so that its message can name them.
fn assert_names_differ(root: &Root, variants: &[(&Ident, &Type)]) -> TokenStream {
    let pairs = variants
        .iter()
        .enumerate()
        .flat_map(|(place, later)| variants[..place].iter().map(move |earlier| (earlier, later)));
    let assertions = pairs.map(|((first, these), (second, those))| {
        let [these, those] = [these, those].map(|ty| item_of(root, ty, &hygienic!(NAMES)));
        let message = format!("`{first}` and `{second}` have an event type name in common");
        let differ = hygienic!(#root::differ(#these, #those));
        hygienic_at!(second.span()=> const _: () = assert!(#differ, #message);)
    });
    hygienic!(#(#assertions)*)
}

fn names(root: &Root, variants: &[(&Ident, &Type)]) -> TokenStream {
    let names: Vec<_> =
        variants.iter().map(|(_, ty)| item_of(root, ty, &hygienic!(NAMES))).collect();
    hygienic! {
        const NAMES: &'static [&'static str] =
            &#root::all_names::<{ #(#names.len())+* }>(&[#(#names),*]);
    }
}

/// `<AccountEvent as Event>::item`, so that a wrapped type that is not an event is reported at its place.
fn item_of(root: &Root, ty: &Type, item: &TokenStream) -> TokenStream {
    hygienic_at!(ty.span()=> <#ty as #root::Event>::#item)
}

/// Writes a call of `function` on the wrapped event.
fn delegate(
    root: &Root,
    variants: &[(&Ident, &Type)],
    function: &TokenStream,
    arguments: &TokenStream,
) -> TokenStream {
    let arms = variants.iter().map(|(ident, ty)| {
        let function = item_of(root, ty, function);
        hygienic!(Self::#ident(event) => #function(event, #arguments),)
    });
    hygienic!(match self { #(#arms)* })
}

/// Writes a function of a type and a tag: the type name selects the wrapped event.
fn tag_function(root: &Root, variants: &[(&Ident, &Type)], function: &TokenStream) -> TokenStream {
    let variants = variants.iter().map(|(_, ty)| {
        let names = item_of(root, ty, &hygienic!(NAMES));
        let wrapped = item_of(root, ty, function);
        hygienic!(#names.contains(&type_name) && #wrapped(type_name, tag_name))
    });
    hygienic! {
        fn #function(
            type_name: &::core::primitive::str,
            tag_name: &::core::primitive::str,
        ) -> ::core::primitive::bool {
            #(#variants)||*
        }
    }
}

/// Writes `decode`: the type name selects the variant, so the payload is parsed once.
fn decode(root: &Root, variants: &[(&Ident, &Type)]) -> TokenStream {
    let variants = variants.iter().map(|(ident, ty)| {
        let names = item_of(root, ty, &hygienic!(NAMES));
        let decode = item_of(root, ty, &hygienic!(decode));
        hygienic! {
            if #names.contains(&raw.name) {
                return #decode(raw, &mut |event| emit(Self::#ident(event)));
            }
        }
    });
    hygienic! {
        fn decode(
            raw: #root::RawEvent<'_>,
            emit: &mut dyn ::core::ops::FnMut(Self),
        ) -> ::core::result::Result<(), #root::DecodeError> {
            #(#variants)*
            ::core::result::Result::Err(#root::DecodeError::UnknownType)
        }
    }
}
