//! `#[derive(Aggregate)]` and `#[derive(Decider)]`.
//!
//! | File | What is in it |
//! |---|---|
//! | `aggregate` | writes the implementation of `Aggregate` |
//! | `expand` | writes the implementation of `Decider` |
//! | `model` | the model of both derives: a type with its attributes parsed |
//! | `parse` | reads the type and its attributes |
//! | `validate` | reports the errors that the compiler would miss or explain badly |

mod aggregate;
mod expand;
mod model;
mod parse;
mod validate;

use proc_macro2::TokenStream;
use syn::{DeriveInput, Type};

use self::model::StateType;
use crate::shared::{AttributeKeys, Diagnostics, Root};

pub(crate) fn derive_aggregate(input: DeriveInput) -> syn::Result<TokenStream> {
    let complete = |root: &Root, state: &StateType, event: &Type| {
        expand::expand(root, state, event, &aggregate::expand(root, state))
    };
    let stub = |root: &Root, state: &StateType, event: &Type| {
        let decider = expand::stub(root, state, event);
        let aggregate = aggregate::stub(root, state);
        quote::quote!(#decider #aggregate)
    };
    derive(input, &parse::ON_AGGREGATE, complete, stub)
}

pub(crate) fn derive_decider(input: DeriveInput) -> syn::Result<TokenStream> {
    let complete = |root: &Root, state: &StateType, event: &Type| {
        expand::expand(root, state, event, &TokenStream::new())
    };
    derive(input, &parse::ON_DECIDER, complete, expand::stub)
}

fn derive(
    input: DeriveInput,
    keys: &AttributeKeys,
    complete: impl Fn(&Root, &StateType, &Type) -> TokenStream,
    stub: impl Fn(&Root, &StateType, &Type) -> TokenStream,
) -> syn::Result<TokenStream> {
    let root = Root::find()?;
    let generic = !input.generics.params.is_empty();
    let mut diagnostics = Diagnostics::default();
    let state = parse::parse(input, keys, &mut diagnostics);
    if diagnostics.is_empty() {
        validate::validate(&state, keys, &mut diagnostics);
    }
    let event = state.event.as_ref();
    let Err(diagnostics) = diagnostics.or(()) else {
        return Ok(event.map_or_else(TokenStream::new, |event| complete(&root, &state, event)));
    };
    let diagnostics = diagnostics.into_compile_error();
    let stub = event.filter(|_| !generic).map(|event| stub(&root, &state, event));
    Ok(quote::quote!(#diagnostics #stub))
}
