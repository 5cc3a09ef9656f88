//! Code that the derives share.
//!
//! | File | What is in it |
//! |---|---|
//! | `diagnostics` | collects errors, so that one compilation shows all of them |
//! | `keys` | the keys of an attribute such as `#[event(prefix = "account")]` |
//! | `name` | stored names: derived from Rust names, and validated |
//! | `payload` | private structs that serialise the fields of a type, so that it derives nothing from serde |
//! | `root` | the path to Highwater in expansions |
//! | `serde` | the keys of `#[serde(…)]` that a derive depends on |
//! | `shape` | checks that all derives share |

/// Quotes tokens whose variables can't clash with the user's: a field may be called `out`.
macro_rules! hygienic {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*)
    };
}

/// As [`hygienic!`], at a place in the user's code, so that the compiler's errors point there.
macro_rules! hygienic_at {
    ($place:expr=> $($tokens:tt)*) => {
        ::quote::quote_spanned! {
            $place.resolved_at(::proc_macro2::Span::mixed_site())=> $($tokens)*
        }
    };
}

mod diagnostics;
pub(crate) mod keys;
mod name;
mod payload;
mod root;
pub(crate) mod serde;
mod shape;

pub(crate) use diagnostics::Diagnostics;
pub(crate) use hygienic;
pub(crate) use hygienic_at;
pub(crate) use keys::AttributeKeys;
pub(crate) use name::Name;
pub(crate) use payload::Payload;
pub(crate) use root::Root;
pub(crate) use shape::{refuse_generics, refuse_misplaced};
