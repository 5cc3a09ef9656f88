//! `#[derive(View)]`.
//!
//! | File | What is in it |
//! |---|---|
//! | `expand` | writes the implementation of `View` |
//! | `json_field` | a field in the JSON of a row: the source of its column |
//! | `model` | the model of `#[derive(View)]`: a struct with its attributes parsed |
//! | `parse` | reads the struct and its attributes |
//! | `row` | writes the serialisation of a row as JSON, so that the struct itself derives nothing from serde |
//! | `stub` | writes placeholder implementations after an error, so that the compiler reports only that error |
//! | `validate` | reports the errors that the compiler would miss or explain badly |

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
