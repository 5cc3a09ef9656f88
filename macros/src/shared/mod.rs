//! What the derives have in common.

/// Writes tokens whose variables can't meet the user's: a field may be called `out`.
macro_rules! hygienic {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*)
    };
}

/// The same at a place in the user's code, so that the compiler's errors point there.
macro_rules! hygienic_at {
    ($place:expr=> $($tokens:tt)*) => {
        ::quote::quote_spanned! {
            $place.resolved_at(::proc_macro2::Span::mixed_site())=> $($tokens)*
        }
    };
}

pub(crate) mod keys;
mod mistakes;
mod name;
mod payload;
mod root;
pub(crate) mod serde;
mod shape;

pub(crate) use hygienic;
pub(crate) use hygienic_at;
pub(crate) use keys::Keys;
pub(crate) use mistakes::Mistakes;
pub(crate) use name::Name;
pub(crate) use payload::Payload;
pub(crate) use root::Root;
pub(crate) use shape::{refuse_generics, refuse_misplaced};
