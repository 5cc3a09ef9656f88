//! `#[derive(Event)]`.

mod any_of;
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
    let expanded = match any_of::is_meant(&input.attrs) {
        true => any_of::derive(&root, input),
        false => derive_kinds(&root, input),
    };
    Ok(match expanded {
        Ok(expanded) => expanded,
        Err(mistakes) if generic => mistakes.into_compile_error(),
        Err(mistakes) => {
            let (mistakes, stub) = (mistakes.into_compile_error(), expand::stub(&root, &ident));
            quote::quote!(#mistakes #stub)
        }
    })
}

/// One variant for each kind of event.
fn derive_kinds(root: &Root, input: DeriveInput) -> syn::Result<TokenStream> {
    let event = parse::parse(input).and_then(validate::validate)?;
    Ok(expand::expand(root, &event))
}
