//! `#[derive(View)]`.

mod expand;
mod member;
mod model;
mod parse;
mod row;
mod stub;
mod validate;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::shared::{Mistakes, Root};

pub(crate) fn derive(input: DeriveInput) -> syn::Result<TokenStream> {
    let (root, generic) = (Root::find()?, !input.generics.params.is_empty());
    let mut mistakes = Mistakes::default();
    let view = parse::parse(input, &mut mistakes);
    if mistakes.are_none() {
        validate::validate(&view, &mut mistakes);
    }
    let event = view.event.as_ref();
    let Err(mistakes) = mistakes.or(()) else {
        return Ok(event.map_or_else(TokenStream::new, |event| expand::expand(&root, &view, event)));
    };
    let mistakes = mistakes.into_compile_error();
    let stub = event.filter(|_| !generic).map(|event| stub::stub(&root, &view.ident, event));
    Ok(quote::quote!(#mistakes #stub))
}
