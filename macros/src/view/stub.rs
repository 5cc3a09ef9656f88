//! Writes placeholder implementations after an error, so that the compiler reports only that error.

use proc_macro2::TokenStream;
use syn::{Ident, Type};

use crate::shared::{Root, hygienic};

pub(super) fn stub(root: &Root, ident: &Ident, event: &Type) -> TokenStream {
    let row = row(root, ident);
    hygienic! {
        #row

        impl #root::View for #ident {
            type Event = #event;
            const NAME: &'static str = "";
            fn keys(_: &#event, _: &#root::Envelope, _: &mut #root::Keys) { loop {} }
            fn fold(&mut self, _: &#event, _: &#root::EventContext<'_>) -> #root::FoldResult { loop {} }
        }
    }
}

fn row(root: &Root, ident: &Ident) -> TokenStream {
    hygienic! {
        impl #root::serde::Serialize for #ident {
            fn serialize<S: #root::serde::Serializer>(
                &self,
                _: S,
            ) -> ::core::result::Result<S::Ok, S::Error> { loop {} }
        }

        impl<'de> #root::serde::Deserialize<'de> for #ident {
            fn deserialize<D: #root::serde::Deserializer<'de>>(
                _: D,
            ) -> ::core::result::Result<Self, D::Error> { loop {} }
        }
    }
}
