//! Writes the serialisation of a row as JSON, so that the struct itself derives nothing from serde.

use proc_macro2::TokenStream;
use syn::{Attribute, parse_quote};

use super::model::ViewStruct;
use crate::shared::{Payload, Root, hygienic, hygienic_at};

pub(super) fn expand(root: &Root, view: &ViewStruct) -> TokenStream {
    let attrs = attrs(view);
    let payload = Payload::new(root, &view.ident, &attrs, &view.fields);
    let items = payload.items();
    let default = default(view, &payload);
    let serialize = serialize(root, view, &payload);
    let deserialize = deserialize(root, view, &payload);
    hygienic! {
        #items
        #default
        #serialize
        #deserialize
    }
}

/// Returns a text that is another one as soon as the form of a row is. It has only what the user wrote: the stores keep
/// it, and compare it with that of later versions of this macro.
pub(super) fn shape(root: &Root, view: &ViewStruct) -> String {
    Payload::new(root, &view.ident, &view.attrs, &view.fields).shape()
}

/// Returns the attributes of the struct, with `#[serde(default)]`: a row that was stored before a field was added has
/// the field's default value.
fn attrs(view: &ViewStruct) -> Vec<Attribute> {
    view.attrs.iter().cloned().chain([parse_quote!(#[serde(default)])]).collect()
}

fn default(view: &ViewStruct, payload: &Payload<'_>) -> TokenStream {
    let ident = &view.ident;
    let owned = payload.owned();
    let body = payload.body();
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
    let ident = &view.ident;
    let borrowed = payload.borrowed();
    let body = payload.body();
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
    let ident = &view.ident;
    let owned = payload.owned();
    let body = payload.body();
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
