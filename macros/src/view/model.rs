//! The model of `#[derive(View)]`: a struct with its attributes parsed.

use proc_macro2::{Ident, Span};
use syn::{Attribute, Fields, Type};

use super::json_field::JsonField;
use crate::shared::Name;

/// The struct: a row.
pub(super) struct ViewStruct {
    pub(super) ident: Ident,
    /// The events that rows are folded from; required.
    pub(super) event: Option<Type>,
    pub(super) name: Name,
    pub(super) formerly: Vec<Name>,
    /// The version that the author declares.
    pub(super) version: Option<u32>,
    /// The aggregate or category of the streams, if each row has the events of one stream.
    pub(super) by_stream: Option<ByStream>,
    pub(super) columns: Vec<ColumnField>,
    pub(super) indexes: Vec<IndexFields>,
    pub(super) fields: Fields,
    /// Passed on to the structs through which rows are written and read.
    pub(super) attrs: Vec<Attribute>,
}

/// `by_stream = Account`, or `by_stream = "account"`.
pub(super) enum ByStream {
    Aggregate(Box<Type>),
    Category(Name),
}

/// A field that is also a column.
pub(super) struct ColumnField {
    pub(super) field: Ident,
    pub(super) ty: Type,
    /// The variant of `ColumnKind`, unless the field's type determines it.
    pub(super) kind: Option<Ident>,
    /// The field in the row's JSON.
    pub(super) json: JsonField,
}

/// `index(owner, cents)`: the fields of an index, in order.
pub(super) struct IndexFields {
    pub(super) fields: Vec<Ident>,
    pub(super) place: Span,
}

impl ViewStruct {
    /// Returns the column of this field, if it has one.
    pub(super) fn column(&self, field: &Ident) -> Option<&ColumnField> {
        self.columns.iter().find(|column| column.field == *field)
    }
}
