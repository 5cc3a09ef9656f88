//! Writes the implementation of `View`.

use proc_macro2::TokenStream;
use syn::{Type, spanned::Spanned};

use super::{
    model::{ByStream, ColumnField, IndexFields, ViewStruct},
    row,
};
use crate::shared::{Root, hygienic, hygienic_at};

pub(super) fn expand(root: &Root, view: &ViewStruct, event: &Type) -> TokenStream {
    let ident = &view.ident;
    let name = &view.name.text;
    let user_code = user_code(root, view);
    let row = row::expand(root, view);
    let formerly = formerly(view);
    let version = view.version.map(|number| hygienic!(const VERSION: u32 = #number;));
    let keyed_by = keyed_by(root, view);
    let columns = columns(root, view);
    let indexes = indexes(root, view);
    let shape = row::shape(root, view);
    hygienic! {
        #[allow(dead_code, deprecated, non_camel_case_types, reason = "generated")]
        const _: () = {
            #user_code

            impl #root::Own for __user::Types {
                type State = #ident;
                type Event = #event;
            }

            #row

            #[automatically_derived]
            impl #root::View for #ident {
                type Event = #event;
                const NAME: &'static str = #name;
                #formerly
                #version
                #keyed_by
                #columns
                #indexes
                const ROW: &'static str = #shape;

                fn keys(event: &#event, envelope: &#root::Envelope, keys: &mut #root::Keys) {
                    __user::keys(event, envelope, keys)
                }

                fn fold(&mut self, event: &#event, at: &#root::EventContext<'_>) -> #root::FoldResult {
                    __user::fold(self, event, at)
                }
            }
        };
    }
}

/// Writes a module with only two traits of Highwater in scope, the stubs for a missing `key` and a missing `fold`. So
/// `State::fold` can only be the user's function, and never a recursive `View::fold`.
fn user_code(root: &Root, view: &ViewStruct) -> TokenStream {
    let place = view.ident.span();
    // The arguments are not in the user's code: the compiler must not suggest removing them there.
    let to_key = hygienic!(event, envelope);
    let to_fold = hygienic!(state, event, at);
    let keys = hygienic_at!(place=> #root::IntoKeys::add_to(State::key(#to_key), keys));
    let fold = hygienic_at!(place=> #root::IntoFoldResult::into_fold_result(State::fold(#to_fold)));
    let key_stub = match &view.by_stream {
        Some(_) => hygienic!(KeyOfStream),
        None => hygienic!(MissingKey),
    };
    hygienic! {
        mod __user {
            use #root::{#key_stub as _, MissingFold as _};

            pub(super) struct Types;
            type State = <Types as #root::Own>::State;
            type Event = <Types as #root::Own>::Event;

            pub(super) fn keys(
                event: &Event,
                envelope: &#root::Envelope,
                keys: &mut #root::Keys,
            ) {
                #keys
            }

            pub(super) fn fold(
                state: &mut State,
                event: &Event,
                at: &#root::EventContext<'_>,
            ) -> #root::FoldResult {
                #fold
            }
        }
    }
}

fn formerly(view: &ViewStruct) -> Option<TokenStream> {
    let names = view.formerly.iter().map(|name| &name.text);
    let names = hygienic!(const FORMERLY: &'static [&'static str] = &[#(#names),*];);
    (!view.formerly.is_empty()).then_some(names)
}

fn keyed_by(root: &Root, view: &ViewStruct) -> Option<TokenStream> {
    let category = match view.by_stream.as_ref()? {
        ByStream::Category(name) => {
            let name = &name.text;
            hygienic!(#name)
        }
        ByStream::Aggregate(ty) => {
            hygienic_at!(ty.span()=> <#ty as #root::Aggregate>::CATEGORY)
        }
    };
    Some(hygienic!(const KEYED_BY: #root::KeyedBy = #root::KeyedBy::Stream(#category);))
}

fn columns(root: &Root, view: &ViewStruct) -> Option<TokenStream> {
    let columns = view.columns.iter().map(|column| column_of(root, column));
    let columns = hygienic!(const COLUMNS: &'static [#root::Column] = &[#(#columns),*];);
    (!view.columns.is_empty()).then_some(columns)
}

fn column_of(root: &Root, column: &ColumnField) -> TokenStream {
    let name = &column.json.name.text;
    let ty = &column.ty;
    let kind = match &column.kind {
        Some(kind) => hygienic!(#root::ColumnKind::#kind),
        None => hygienic_at!(ty.span()=> <#ty as #root::ColumnType>::KIND),
    };
    hygienic!(#root::Column { name: #name, kind: #kind })
}

fn indexes(root: &Root, view: &ViewStruct) -> Option<TokenStream> {
    let indexes = view.indexes.iter().map(|index| index_of(view, index));
    let indexes = hygienic!(const INDEXES: &'static [#root::Index] = &[#(#indexes),*];);
    (!view.indexes.is_empty()).then_some(indexes)
}

fn index_of(view: &ViewStruct, index: &IndexFields) -> TokenStream {
    let columns = index.fields.iter().filter_map(|field| view.column(field));
    let names = columns.map(|column| &column.json.name.text);
    hygienic!(&[#(#names),*])
}
