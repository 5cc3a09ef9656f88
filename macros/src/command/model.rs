//! The model of `#[derive(Command)]`: a struct with its attributes parsed.

use proc_macro2::Ident;
use syn::{Attribute, Fields, Member, Type};

use crate::shared::Name;

/// The struct.
pub(super) struct CommandStruct {
    pub(super) ident: Ident,
    pub(super) name: Name,
    pub(super) aggregate: Option<Type>,
    /// The field that holds the key of the stream.
    pub(super) target: Option<Member>,
    pub(super) fields: Fields,
    /// Passed on to the struct that is written.
    pub(super) attrs: Vec<Attribute>,
}
