//! `#[derive(Event)]`.

mod decode;
mod expand;
mod model;
mod parse;
mod validate;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::shared::Root;

pub(crate) fn derive(input: DeriveInput) -> syn::Result<TokenStream> {
    let root = Root::find()?;
    let (ident, generic) = (input.ident.clone(), !input.generics.params.is_empty());
    let event = parse::parse(input).and_then(validate::validate);
    Ok(match event {
        Ok(event) => expand::expand(&root, &event),
        Err(mistakes) if generic => mistakes.into_compile_error(),
        Err(mistakes) => {
            let (mistakes, stub) = (mistakes.into_compile_error(), expand::stub(&root, &ident));
            quote::quote!(#mistakes #stub)
        }
    })
}
