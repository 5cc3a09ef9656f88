//! Writes the implementation of `Event`: each of its functions asks the event that is wrapped.

use proc_macro2::TokenStream;
use syn::{Ident, Type, spanned::Spanned};

use super::model::Union;
use crate::shared::{Root, hygienic, hygienic_at};

pub(super) fn expand(root: &Root, union: &Union) -> TokenStream {
    let (ident, members) = (&union.ident, members(union));
    let (differ, names) = (differ(root, &members), names(root, &members));
    let decode = decode(root, &members);
    let ask = |function, arguments| ask(root, &members, &function, &arguments);
    let event_type = ask(hygienic!(event_type), hygienic!());
    let tags = ask(hygienic!(tags), hygienic!());
    let encode = ask(hygienic!(encode), hygienic!(out));
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

/// The variants, and what they wrap.
fn members(union: &Union) -> Vec<(&Ident, &Type)> {
    union
        .members
        .iter()
        .filter_map(|member| Some((&member.ident, member.event.as_ref()?)))
        .collect()
}

/// One assertion for each two of the members, so that it can say which they are.
fn differ(root: &Root, members: &[(&Ident, &Type)]) -> TokenStream {
    let pairs = members
        .iter()
        .enumerate()
        .flat_map(|(place, later)| members[..place].iter().map(move |earlier| (earlier, later)));
    let assertions = pairs.map(|((first, these), (second, those))| {
        let [these, those] = [these, those].map(|ty| of(root, ty, &hygienic!(NAMES)));
        let message = format!("`{first}` and `{second}` have an event type name in common");
        let differ = hygienic!(#root::differ(#these, #those));
        hygienic_at!(second.span()=> const _: () = assert!(#differ, #message);)
    });
    hygienic!(#(#assertions)*)
}

fn names(root: &Root, members: &[(&Ident, &Type)]) -> TokenStream {
    let names: Vec<_> = members.iter().map(|(_, ty)| of(root, ty, &hygienic!(NAMES))).collect();
    hygienic! {
        const NAMES: &'static [&'static str] =
            &#root::all_names::<{ #(#names.len())+* }>(&[#(#names),*]);
    }
}

/// `<AccountEvent as Event>::item`, so that a member that is no event is reported where it stands.
fn of(root: &Root, ty: &Type, item: &TokenStream) -> TokenStream {
    hygienic_at!(ty.span()=> <#ty as #root::Event>::#item)
}

/// Asks whichever event is wrapped.
fn ask(
    root: &Root,
    members: &[(&Ident, &Type)],
    function: &TokenStream,
    arguments: &TokenStream,
) -> TokenStream {
    let arms = members.iter().map(|(ident, ty)| {
        let ask = of(root, ty, function);
        hygienic!(Self::#ident(event) => #ask(event, #arguments),)
    });
    hygienic!(match self { #(#arms)* })
}

/// The name chooses the member, so the payload is parsed once.
fn decode(root: &Root, members: &[(&Ident, &Type)]) -> TokenStream {
    let members = members.iter().map(|(ident, ty)| {
        let names = of(root, ty, &hygienic!(NAMES));
        let decode = of(root, ty, &hygienic!(decode));
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
            #(#members)*
            ::core::result::Result::Err(#root::DecodeError::UnknownType)
        }
    }
}
