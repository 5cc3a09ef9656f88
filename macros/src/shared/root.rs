//! The path to Highwater in expansions.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::LitStr;

/// The root of all paths in expansions: `::highwater::__private`, or that of the core for crates that depend on the
/// core alone.
pub(crate) struct Root(Ident);

impl Root {
    pub(crate) fn find() -> syn::Result<Self> {
        let name = found("highwater").or_else(|| found("highwater-core")).ok_or_else(|| {
            let message = "the derives of Highwater need it among the crate's dependencies: \
                           run `cargo add highwater`";
            syn::Error::new(Span::call_site(), message)
        })?;
        Ok(Self(Ident::new(&name, Span::call_site())))
    }

    /// Returns the path of serde, for its `crate` attribute.
    pub(crate) fn serde(&self) -> LitStr {
        LitStr::new(&format!("::{}::__private::serde", self.0), Span::call_site())
    }
}

impl ToTokens for Root {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let name = &self.0;
        tokens.append_all(quote!(::#name::__private));
    }
}

/// Returns the name of `package` in the crate that is being compiled. A package is its own name: its tests, examples
/// and doc tests are separate crates.
fn found(package: &str) -> Option<String> {
    match crate_name(package).ok()? {
        FoundCrate::Itself => Some(package.replace('-', "_")),
        FoundCrate::Name(name) => Some(name),
    }
}
