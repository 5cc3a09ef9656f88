//! Writes `Event::decode`: the type name, then the schema version, select the type of the payload.

use proc_macro2::TokenStream;
use syn::{Ident, Type, spanned::Spanned};

use super::{
    expand::payload,
    model::{EventEnum, EventVariant},
};
use crate::shared::{Root, hygienic, hygienic_at};

pub(super) fn function(root: &Root, event: &EventEnum) -> TokenStream {
    let arms = event.variants.iter().map(|variant| by_version(root, &event.ident, variant));
    let retired = event.retired.iter().map(|name| &name.text);
    hygienic! {
        fn decode(
            raw: #root::RawEvent<'_>,
            emit: &mut dyn ::core::ops::FnMut(Self),
        ) -> ::core::result::Result<(), #root::DecodeError> {
            match raw.name {
                #(#arms)*
                #(#retired => {})*
                _ => return ::core::result::Result::Err(#root::DecodeError::UnknownType),
            }
            ::core::result::Result::Ok(())
        }
    }
}

fn by_version(root: &Root, event: &Ident, variant: &EventVariant) -> TokenStream {
    let names = variant.names().map(|name| &name.text);
    let known = variant.version.number;
    let current = current(root, variant);
    let older = variant.upcast.iter().zip(1_u32..).map(|(old, version)| {
        let chain = chain(root, event, &variant.upcast[version as usize - 1..]);
        let read = hygienic_at!(old.span()=> #root::read::<#old>(raw.payload));
        hygienic! {
            #version => {
                let old = #read?;
                #chain;
            }
        }
    });
    hygienic! {
        #(#names)|* => match raw.version.get() {
            #(#older)*
            #known => { #current }
            _ => {
                let known = #root::SchemaVersion::new(#known);
                return ::core::result::Result::Err(#root::DecodeError::NewerVersion { known });
            }
        },
    }
}

fn current(root: &Root, variant: &EventVariant) -> TokenStream {
    let ident = &variant.ident;
    let payload = payload(root, variant);
    let owned = payload.owned();
    let body = payload.body();
    hygienic! {
        let #owned #body = #root::read(raw.payload)?;
        emit(Self::#ident #body);
    }
}

/// `upcast::<V1, V2>(old, &mut |old| upcast::<V2, Event>(old, emit))`: each step is checked against
/// the next, so that a wrong `Next` is reported where the chain names it.
fn chain(root: &Root, event: &Ident, steps: &[Type]) -> TokenStream {
    let [old, rest @ ..] = steps else { return hygienic!(emit(old)) };
    let (next, then) = match rest {
        [] => (hygienic!(#event), hygienic!(emit)),
        [next, ..] => {
            let rest = chain(root, event, rest);
            (hygienic!(#next), hygienic!(&mut |old| #rest))
        }
    };
    hygienic_at!(old.span()=> #root::upcast::<#old, #next>(old, #then))
}
