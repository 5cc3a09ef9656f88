//! Writes the implementation of `Aggregate`.

use proc_macro2::TokenStream;
use syn::Fields;

use super::model::{SnapshotKeys, StateType};
use crate::shared::{Payload, Root, hygienic};

pub(super) fn expand(root: &Root, state: &StateType) -> TokenStream {
    let ident = &state.ident;
    let category = &state.category.text;
    let payload = state.snapshot.as_ref().zip(state.fields.as_ref());
    let payload = payload.map(|(snapshot, fields)| snapshots(root, state, snapshot, fields));
    let (items, snapshots) = payload.unzip();
    hygienic! {
        #items

        #[automatically_derived]
        impl #root::Aggregate for #ident {
            const CATEGORY: &'static str = #category;
            #snapshots
        }
    }
}

/// Returns the structs that write and read the state, and the `SNAPSHOTS` constant.
fn snapshots(
    root: &Root,
    state: &StateType,
    snapshot: &SnapshotKeys,
    fields: &Fields,
) -> (TokenStream, TokenStream) {
    let SnapshotKeys { every, bytes, version, .. } = snapshot;
    let payload = Payload::new(root, &state.ident, &state.attrs, fields);
    let owned = payload.owned();
    let body = payload.body();
    let write = payload.write();
    let shape = payload.shape();
    let constant = hygienic! {
        const SNAPSHOTS: ::core::option::Option<#root::SnapshotPolicy<Self>> =
            ::core::option::Option::Some(#root::SnapshotPolicy {
                every: #every,
                bytes: #bytes,
                schema: #root::SchemaVersion::new(#version),
                shape: #shape,
                encode: |Self #body| {
                    let mut json = ::std::vec::Vec::new();
                    let out = &mut json;
                    #write?;
                    ::core::result::Result::Ok(json)
                },
                decode: |json| {
                    let #owned #body = #root::read(json)?;
                    ::core::result::Result::Ok(Self #body)
                },
            });
    };
    (payload.items(), constant)
}

/// Writes a placeholder implementation after an error, so that the compiler reports only that error.
pub(super) fn stub(root: &Root, state: &StateType) -> TokenStream {
    let ident = &state.ident;
    hygienic! {
        impl #root::Aggregate for #ident {
            const CATEGORY: &'static str = "";
        }
    }
}
