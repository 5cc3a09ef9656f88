//! Writes the implementation of `Aggregate`.

use proc_macro2::TokenStream;
use syn::Fields;

use super::model::{Snapshot, State};
use crate::shared::{Payload, Root, hygienic};

pub(super) fn expand(root: &Root, state: &State) -> TokenStream {
    let (ident, category) = (&state.ident, &state.category.text);
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

/// The structs through which the state is written and read, and the constant that says how.
fn snapshots(
    root: &Root,
    state: &State,
    snapshot: &Snapshot,
    fields: &Fields,
) -> (TokenStream, TokenStream) {
    let Snapshot { every, bytes, version, .. } = snapshot;
    let payload = Payload::new(root, &state.ident, &state.attrs, fields);
    let (owned, body, write) = (payload.owned(), payload.body(), payload.write());
    let constant = hygienic! {
        const SNAPSHOTS: ::core::option::Option<#root::SnapshotPolicy<Self>> =
            ::core::option::Option::Some(#root::SnapshotPolicy {
                every: #every,
                bytes: #bytes,
                schema: #root::SchemaVersion::new(#version),
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

/// What stands in for the implementation after a mistake, so that the mistake is all that is said.
pub(super) fn stub(root: &Root, state: &State) -> TokenStream {
    let ident = &state.ident;
    hygienic! {
        impl #root::Aggregate for #ident {
            const CATEGORY: &'static str = "";
        }
    }
}
