//! The keys of `#[serde(…)]` that a derive depends on. Errors in them are reported by serde.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{
    Attribute, Fields, LitStr, Token, meta::ParseNestedMeta, spanned::Spanned, token::Paren,
};

use super::{Diagnostics, Name, keys};

/// A key of `#[serde(…)]`.
pub(crate) struct SerdeKey {
    pub(crate) name: String,
    pub(crate) place: Span,
    /// The text of `key = "text"`, or of `key(serialize = "text")`, which is the stored form.
    pub(crate) text: Option<Name>,
}

/// Returns all keys, in order.
pub(crate) fn serde_keys(attrs: &[Attribute]) -> Vec<SerdeKey> {
    let mut found = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        // A syntax error ends the attribute; serde reports it.
        let _ = attr.parse_nested_meta(|meta| {
            let name = meta.path.to_token_stream().to_string();
            let place = meta.path.span();
            let text = text(&meta)?;
            found.push(SerdeKey { name, place, text });
            keys::skip_value(&meta)
        });
    }
    found
}

/// Refuses fields that are not written, or not read: what is read back would be another value.
pub(crate) fn refuse_skipped(fields: &Fields, message: &str, diagnostics: &mut Diagnostics) {
    let keys = fields.iter().flat_map(|field| serde_keys(&field.attrs));
    for key in keys.filter(|key| {
        matches!(key.name.as_str(), "skip" | "skip_serializing" | "skip_deserializing")
    }) {
        diagnostics.at(key.place, message);
    }
}

fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<Name>> {
    let mut text = None;
    if meta.input.peek(Paren) {
        meta.parse_nested_meta(|inner| match inner.path.is_ident("serialize") {
            true => written(&inner).map(|written| text = written),
            false => keys::skip_value(&inner),
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
