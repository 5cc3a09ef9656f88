//! `#[derive(Command)]`.

mod expand;
mod model;
mod parse;
mod validate;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::shared::Root;

pub(crate) fn derive(input: DeriveInput) -> syn::Result<TokenStream> {
    let root = Root::find()?;
    let ident = input.ident.clone();
    let generic = !input.generics.params.is_empty();
    Ok(match parse::parse(input).and_then(validate::validate) {
        Ok(command) => expand::expand(&root, &command),
        Err(diagnostics) if generic => diagnostics.into_compile_error(),
        Err(diagnostics) => {
            let diagnostics = diagnostics.into_compile_error();
            let stub = expand::stub(&root, &ident);
            quote::quote!(#diagnostics #stub)
        }
    })
}
