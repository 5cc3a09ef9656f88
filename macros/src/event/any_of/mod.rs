//! `#[event(any_of)]`: an event that is one of several others.

mod expand;
mod model;
mod parse;
mod validate;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::shared::{Diagnostics, Root};

pub(super) use parse::is_union;

pub(super) fn derive(root: &Root, input: DeriveInput) -> syn::Result<TokenStream> {
    let mut diagnostics = Diagnostics::default();
    let union = parse::parse(input, &mut diagnostics);
    validate::validate(&union, &mut diagnostics);
    diagnostics.or(union).map(|union| expand::expand(root, &union))
}
