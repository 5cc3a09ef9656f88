//! What `#[derive(View)]` knows of a struct once its attributes have been read.

use proc_macro2::{Ident, Span};
use syn::{Attribute, Fields, Type};

use super::member::Member;
use crate::shared::Name;

/// The struct: a row.
pub(super) struct ViewStruct {
    pub(super) ident: Ident,
    /// The events that it is folded from; required.
    pub(super) event: Option<Type>,
    pub(super) name: Name,
    pub(super) formerly: Vec<Name>,
    /// Whose stream a row has the events of, if each has those of one.
    pub(super) by_stream: Option<ByStream>,
    pub(super) columns: Vec<Column>,
    pub(super) indexes: Vec<Index>,
    pub(super) fields: Fields,
    /// Passed on to the structs through which rows are written and read.
    pub(super) attrs: Vec<Attribute>,
}

/// `by_stream = Account`, or `by_stream = "account"`.
pub(super) enum ByStream {
    Aggregate(Box<Type>),
    Category(Name),
}

/// A field that is a column, too.
pub(super) struct Column {
    pub(super) field: Ident,
    pub(super) ty: Type,
    /// The kind, where it isn't left to the field's type: a variant of `ColumnKind`.
    pub(super) kind: Option<Ident>,
    /// What it is in the row's JSON.
    pub(super) member: Member,
}

/// `index(owner, cents)`: the fields whose columns it has, in order.
pub(super) struct Index {
    pub(super) fields: Vec<Ident>,
    pub(super) place: Span,
}

impl ViewStruct {
    /// The column that this field makes, if it makes one.
    pub(super) fn column(&self, field: &Ident) -> Option<&Column> {
        self.columns.iter().find(|column| column.field == *field)
    }
}
