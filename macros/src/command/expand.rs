//! Writes the implementations of `Command` and `Targeted`.

use proc_macro2::TokenStream;
use syn::{Ident, spanned::Spanned};

use super::model::CommandStruct;
use crate::shared::{Payload, Root, hygienic, hygienic_at};

pub(super) fn expand(root: &Root, command: &CommandStruct) -> TokenStream {
    let ident = &command.ident;
    let name = &command.name.text;
    let payload = Payload::new(root, ident, &command.attrs, &command.fields);
    let item = payload.borrowed_item();
    let body = payload.body();
    let write = payload.write_to_compare();
    let targeted = targeted(root, command);
    hygienic! {
        #[allow(dead_code, deprecated, non_camel_case_types, reason = "generated")]
        const _: () = {
            #item

            #[automatically_derived]
            impl #root::Command for #ident {
                const NAME: &'static str = #name;

                fn encode(
                    &self,
                    out: &mut ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<(), #root::serde_json::Error> {
                    let Self #body = self;
                    #write
                }
            }

            #targeted
        };
    }
}

fn targeted(root: &Root, command: &CommandStruct) -> Option<TokenStream> {
    let ident = &command.ident;
    let aggregate = command.aggregate.as_ref()?;
    let target = command.target.as_ref()?;
    let key = hygienic_at!(target.span()=> #root::text(&self.#target));
    Some(hygienic! {
        #[automatically_derived]
        impl #root::Targeted for #ident {
            type Aggregate = #aggregate;

            fn target(&self) -> ::std::string::String {
                #key
            }
        }
    })
}

/// Writes a placeholder implementation after an error, so that the compiler reports only that error.
pub(super) fn stub(root: &Root, ident: &Ident) -> TokenStream {
    hygienic! {
        impl #root::Command for #ident {
            const NAME: &'static str = "";
            fn encode(
                &self,
                _: &mut ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<(), #root::serde_json::Error> { loop {} }
        }
    }
}
