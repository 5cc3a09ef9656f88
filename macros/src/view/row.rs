//! Writes how a row becomes JSON and comes back, so that the struct itself needs no serde.

use proc_macro2::TokenStream;
use syn::{Attribute, parse_quote};

use super::model::ViewStruct;
use crate::shared::{Payload, Root, hygienic, hygienic_at};

pub(super) fn expand(root: &Root, view: &ViewStruct) -> TokenStream {
    let attrs = attrs(view);
    let payload = Payload::new(root, &view.ident, &attrs, &view.fields);
    let (items, default) = (payload.items(), default(view, &payload));
    let (serialize, deserialize) =
        (serialize(root, view, &payload), deserialize(root, view, &payload));
    hygienic! {
        #items
        #default
        #serialize
        #deserialize
    }
}

/// A row that was stored before a field was added takes the field's default value.
fn attrs(view: &ViewStruct) -> Vec<Attribute> {
    view.attrs.iter().cloned().chain([parse_quote!(#[serde(default)])]).collect()
}

fn default(view: &ViewStruct, payload: &Payload<'_>) -> TokenStream {
    let (ident, owned, body) = (&view.ident, payload.owned(), payload.body());
    let default = hygienic_at!(ident.span()=> <#ident as ::core::default::Default>::default());
    hygienic! {
        #[automatically_derived]
        impl ::core::default::Default for #owned {
            fn default() -> Self {
                let #ident #body = #default;
                Self #body
            }
        }
    }
}

fn serialize(root: &Root, view: &ViewStruct, payload: &Payload<'_>) -> TokenStream {
    let (ident, borrowed, body) = (&view.ident, payload.borrowed(), payload.body());
    hygienic! {
        #[automatically_derived]
        impl #root::serde::Serialize for #ident {
            fn serialize<S: #root::serde::Serializer>(
                &self,
                out: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                let Self #body = self;
                #root::serde::Serialize::serialize(&#borrowed #body, out)
            }
        }
    }
}

fn deserialize(root: &Root, view: &ViewStruct, payload: &Payload<'_>) -> TokenStream {
    let (ident, owned, body) = (&view.ident, payload.owned(), payload.body());
    hygienic! {
        #[automatically_derived]
        impl<'de> #root::serde::Deserialize<'de> for #ident {
            fn deserialize<D: #root::serde::Deserializer<'de>>(
                from: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let #owned #body = #root::serde::Deserialize::deserialize(from)?;
                ::core::result::Result::Ok(Self #body)
            }
        }
    }
}
