//! The model of `#[event(any_of)]`: a union with its attributes parsed.

use proc_macro2::Ident;
use syn::Type;

/// The enum.
pub(super) struct Union {
    pub(super) ident: Ident,
    pub(super) variants: Vec<UnionVariant>,
}

/// A variant, which wraps one of the events.
pub(super) struct UnionVariant {
    pub(super) ident: Ident,
    /// The event's type; none if the variant has another shape than `Account(AccountEvent)`.
    pub(super) event: Option<Type>,
}
