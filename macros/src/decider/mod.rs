//! `#[derive(Aggregate)]` and `#[derive(Decider)]`.

mod aggregate;
mod expand;
mod model;
mod parse;
mod validate;

use proc_macro2::TokenStream;
use syn::{DeriveInput, Type};

use self::model::State;
use crate::shared::{Keys, Mistakes, Root};

pub(crate) fn derive_aggregate(input: DeriveInput) -> syn::Result<TokenStream> {
    let complete = |root: &Root, state: &State, event: &Type| {
        expand::expand(root, state, event, &aggregate::expand(root, state))
    };
    let stub = |root: &Root, state: &State, event: &Type| {
        let (decider, aggregate) = (expand::stub(root, state, event), aggregate::stub(root, state));
        quote::quote!(#decider #aggregate)
    };
    derive(input, &parse::ON_AGGREGATE, complete, stub)
}

pub(crate) fn derive_decider(input: DeriveInput) -> syn::Result<TokenStream> {
    let complete = |root: &Root, state: &State, event: &Type| {
        expand::expand(root, state, event, &TokenStream::new())
    };
    derive(input, &parse::ON_DECIDER, complete, expand::stub)
}

fn derive(
    input: DeriveInput,
    keys: &Keys,
    complete: impl Fn(&Root, &State, &Type) -> TokenStream,
    stub: impl Fn(&Root, &State, &Type) -> TokenStream,
) -> syn::Result<TokenStream> {
    let (root, generic) = (Root::find()?, !input.generics.params.is_empty());
    let mut mistakes = Mistakes::default();
    let state = parse::parse(input, keys, &mut mistakes);
    if mistakes.are_none() {
        validate::validate(&state, keys, &mut mistakes);
    }
    let event = state.event.as_ref();
    let Err(mistakes) = mistakes.or(()) else {
        return Ok(event.map_or_else(TokenStream::new, |event| complete(&root, &state, event)));
    };
    let mistakes = mistakes.into_compile_error();
    let stub = event.filter(|_| !generic).map(|event| stub(&root, &state, event));
    Ok(quote::quote!(#mistakes #stub))
}
