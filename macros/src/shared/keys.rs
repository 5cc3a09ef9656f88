//! The keys of an attribute such as `#[event(prefix = "account")]`.

use proc_macro2::TokenTree;
use quote::ToTokens;
use syn::{
    Attribute, LitInt, LitStr, Path, Result, Token, meta::ParseNestedMeta, parenthesized,
    parse::Parse, punctuated::Punctuated, spanned::Spanned,
};

use super::Diagnostics;

/// The keys that an attribute takes at one of the places where it is allowed.
pub(crate) struct AttributeKeys {
    pub(crate) attribute: &'static str,
    pub(crate) place: &'static str,
    pub(crate) allowed: &'static [&'static str],
    /// The keys that may be given several times.
    pub(crate) repeatable: &'static [&'static str],
}

impl AttributeKeys {
    /// Calls `read` for each allowed key, and twice only for repeatable keys. An unknown key is an error and is skipped, so
    /// that the keys after it are still checked.
    pub(crate) fn read(
        &self,
        attrs: &[Attribute],
        diagnostics: &mut Diagnostics,
        mut read: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<()>,
    ) {
        let mut seen = Vec::new();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident(self.attribute)) {
            let result = attr.parse_nested_meta(|meta| match self.known(&meta.path, &mut seen) {
                Ok(key) => read(key, &meta),
                Err(error) => {
                    diagnostics.push(error);
                    skip_value(&meta)
                }
            });
            diagnostics.ok(result);
        }
    }

    fn known(&self, path: &Path, seen: &mut Vec<&'static str>) -> Result<&'static str> {
        let whose = format!("`#[{}(…)]` {}", self.attribute, self.place);
        let key = one_of(&whose, self.allowed, path, seen)?;
        seen.retain(|seen| !self.repeatable.contains(seen));
        Ok(key)
    }
}

/// Returns the key of `path`.
///
/// # Errors
/// The key is not one of `allowed`, or has been `seen`.
pub(crate) fn one_of(
    whose: &str,
    allowed: &[&'static str],
    path: &Path,
    seen: &mut Vec<&'static str>,
) -> Result<&'static str> {
    let Some(key) = allowed.iter().copied().find(|key| path.is_ident(key)) else {
        let key = path.to_token_stream().to_string().replace(' ', "");
        let allowed = allowed.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let message = format!("unknown key `{key}`: {whose} takes {allowed}");
        return Err(syn::Error::new(path.span(), message));
    };
    if seen.contains(&key) {
        return Err(syn::Error::new(path.span(), format!("`{key}` is given twice")));
    }
    seen.push(key);
    Ok(key)
}

/// Skips the value of this key.
pub(crate) fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<()> {
    while !meta.input.is_empty() && !meta.input.peek(Token![,]) {
        meta.input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// The value of `key = "text"`.
pub(crate) fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    value(meta)
}

/// The value of `key = value`.
pub(crate) fn value<T: Parse>(meta: &ParseNestedMeta<'_>) -> Result<T> {
    meta.value()?.parse()
}

/// The value of `key = 7`, and the literal for its place.
pub(crate) fn number<N>(meta: &ParseNestedMeta<'_>) -> Result<(N, LitInt)>
where
    N: std::str::FromStr,
    N::Err: std::fmt::Display,
{
    let literal: LitInt = value(meta)?;
    Ok((literal.base10_parse()?, literal))
}

/// The values of `key(a, b)`.
pub(crate) fn list<T: Parse>(meta: &ParseNestedMeta<'_>) -> Result<Vec<T>> {
    let content;
    parenthesized!(content in meta.input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}
