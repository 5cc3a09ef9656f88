//! Writes the implementation of `View`.

use proc_macro2::TokenStream;
use syn::{Type, spanned::Spanned};

use super::{
    model::{ByStream, Column, Index, ViewStruct},
    row,
};
use crate::shared::{Root, hygienic, hygienic_at};

pub(super) fn expand(root: &Root, view: &ViewStruct, event: &Type) -> TokenStream {
    let (ident, name) = (&view.ident, &view.name.text);
    let (own, row) = (own(root, view), row::expand(root, view));
    let (formerly, keyed) = (formerly(view), keyed(root, view));
    let (columns, indexes) = (columns(root, view), indexes(root, view));
    hygienic! {
        #[allow(dead_code, deprecated, non_camel_case_types, reason = "generated")]
        const _: () = {
            #own

            impl #root::Own for __own::Own {
                type State = #ident;
                type Event = #event;
            }

            #row

            #[automatically_derived]
            impl #root::View for #ident {
                type Event = #event;
                const NAME: &'static str = #name;
                #formerly
                #keyed
                #columns
                #indexes

                fn keys(event: &#event, envelope: &#root::Envelope, keys: &mut #root::Keys) {
                    __own::keys(event, envelope, keys)
                }

                fn fold(&mut self, event: &#event, at: &#root::EventContext<'_>) -> #root::FoldResult {
                    __own::fold(self, event, at)
                }
            }
        };
    }
}

/// A module in which no trait of Highwater is in scope but those that stand in for a missing `key`
/// and a missing `fold`. So `State::fold` can only be the user's own function, and never
/// `View::fold` calling itself.
fn own(root: &Root, view: &ViewStruct) -> TokenStream {
    let place = view.ident.span();
    // The arguments stand nowhere in the user's code: the compiler must not offer to remove them there.
    let (to_key, to_fold) = (hygienic!(event, envelope), hygienic!(state, event, at));
    let keys = hygienic_at!(place=> #root::IntoKeys::add_to(State::key(#to_key), keys));
    let folding =
        hygienic_at!(place=> #root::IntoFoldResult::into_fold_result(State::fold(#to_fold)));
    let instead = match &view.by_stream {
        Some(_) => hygienic!(KeyOfStream),
        None => hygienic!(MissingKey),
    };
    hygienic! {
        mod __own {
            use #root::{#instead as _, MissingFold as _};

            pub(super) struct Own;
            type State = <Own as #root::Own>::State;
            type Event = <Own as #root::Own>::Event;

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
                #folding
            }
        }
    }
}

fn formerly(view: &ViewStruct) -> Option<TokenStream> {
    let names = view.formerly.iter().map(|name| &name.text);
    let names = hygienic!(const FORMERLY: &'static [&'static str] = &[#(#names),*];);
    (!view.formerly.is_empty()).then_some(names)
}

fn keyed(root: &Root, view: &ViewStruct) -> Option<TokenStream> {
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

fn column_of(root: &Root, column: &Column) -> TokenStream {
    let (name, ty) = (&column.member.name.text, &column.ty);
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

fn index_of(view: &ViewStruct, index: &Index) -> TokenStream {
    let columns = index.fields.iter().filter_map(|field| view.column(field));
    let names = columns.map(|column| &column.member.name.text);
    hygienic!(&[#(#names),*])
}
