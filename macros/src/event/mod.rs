//! `#[derive(Event)]`.
//!
//! | File | What is in it |
//! |---|---|
//! | `any_of` | `#[event(any_of)]`: an event that is one of several others |
//! | `decode` | writes `Event::decode`: the type name, then the schema version, select the type of the payload |
//! | `expand` | writes the implementation of `Event` |
//! | `model` | the model of `#[derive(Event)]`: an enum with its attributes parsed |
//! | `parse` | reads the enum and its attributes |
//! | `validate` | reports the errors that the compiler would miss or explain badly |

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
    let ident = input.ident.clone();
    let generic = !input.generics.params.is_empty();
    let expanded = match any_of::is_union(&input.attrs) {
        true => any_of::derive(&root, input),
        false => derive_variants(&root, input),
    };
    Ok(match expanded {
        Ok(expanded) => expanded,
        Err(diagnostics) if generic => diagnostics.into_compile_error(),
        Err(diagnostics) => {
            let diagnostics = diagnostics.into_compile_error();
            let stub = expand::stub(&root, &ident);
            quote::quote!(#diagnostics #stub)
        }
    })
}

/// Derives an enum with one variant for each kind of event.
fn derive_variants(root: &Root, input: DeriveInput) -> syn::Result<TokenStream> {
    let event = parse::parse(input).and_then(validate::validate)?;
    Ok(expand::expand(root, &event))
}
