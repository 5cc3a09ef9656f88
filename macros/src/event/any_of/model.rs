//! What is known of a union once its attributes have been read.

use proc_macro2::Ident;
use syn::Type;

/// The enum.
pub(super) struct Union {
    pub(super) ident: Ident,
    pub(super) members: Vec<Member>,
}

/// One of the events that it may be.
pub(super) struct Member {
    pub(super) ident: Ident,
    /// Its type; none if the variant has another shape than `Account(AccountEvent)`.
    pub(super) event: Option<Type>,
}
