//! `#[derive(View)]`.

mod expand;
mod json_field;
mod model;
mod parse;
mod row;
mod stub;
mod validate;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::shared::{Diagnostics, Root};

pub(crate) fn derive(input: DeriveInput) -> syn::Result<TokenStream> {
    let root = Root::find()?;
    let generic = !input.generics.params.is_empty();
    let mut diagnostics = Diagnostics::default();
    let view = parse::parse(input, &mut diagnostics);
    if diagnostics.is_empty() {
        validate::validate(&view, &mut diagnostics);
    }
    let event = view.event.as_ref();
    let Err(diagnostics) = diagnostics.or(()) else {
        return Ok(event.map_or_else(TokenStream::new, |event| expand::expand(&root, &view, event)));
    };
    let diagnostics = diagnostics.into_compile_error();
    let stub = event.filter(|_| !generic).map(|event| stub::stub(&root, &view.ident, event));
    Ok(quote::quote!(#diagnostics #stub))
}
