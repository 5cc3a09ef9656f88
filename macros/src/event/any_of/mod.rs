//! `#[event(any_of)]`: an event that is one of several others.

mod expand;
mod model;
mod parse;
mod validate;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::shared::{Mistakes, Root};

pub(super) use parse::is_meant;

pub(super) fn derive(root: &Root, input: DeriveInput) -> syn::Result<TokenStream> {
    let mut mistakes = Mistakes::default();
    let union = parse::parse(input, &mut mistakes);
    validate::validate(&union, &mut mistakes);
    mistakes.or(union).map(|union| expand::expand(root, &union))
}
