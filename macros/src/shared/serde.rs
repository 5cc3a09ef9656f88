//! What `#[serde(…)]` says of the JSON, where a derive depends on it. What is wrong in there, serde
//! says itself.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Attribute, LitStr, Token, meta::ParseNestedMeta, spanned::Spanned, token::Paren};

use super::{Name, keys};

/// A key of `#[serde(…)]`.
pub(crate) struct SerdeKey {
    pub(crate) name: String,
    pub(crate) place: Span,
    /// Of `key = "text"` the text, and of `key(serialize = "text")`, as that is what is stored.
    pub(crate) text: Option<Name>,
}

/// All of them, in order.
pub(crate) fn serde_keys(attrs: &[Attribute]) -> Vec<SerdeKey> {
    let mut found = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        // A mistake ends the attribute; serde reports it.
        let _ = attr.parse_nested_meta(|meta| {
            let name = meta.path.to_token_stream().to_string();
            let (place, text) = (meta.path.span(), text(&meta)?);
            found.push(SerdeKey { name, place, text });
            keys::pass_over(&meta)
        });
    }
    found
}

fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<Name>> {
    let mut text = None;
    if meta.input.peek(Paren) {
        meta.parse_nested_meta(|inner| match inner.path.is_ident("serialize") {
            true => written(&inner).map(|written| text = written),
            false => keys::pass_over(&inner),
        })?;
    } else if meta.input.peek(Token![=]) {
        text = written(meta)?;
    }
    Ok(text)
}

fn written(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<Name>> {
    let value = meta.value()?;
    match value.peek(LitStr) {
        true => Ok(Some(Name::written(&value.parse()?))),
        false => Ok(None),
    }
}
