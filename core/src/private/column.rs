//! The kind of column that the type of a field makes.

use std::{borrow::Cow, sync::Arc};

use crate::domain::ColumnKind;

/// A type of a field that determines the kind of its column.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what kind of column it makes",
    label = "a column of which kind?",
    note = "write `#[view(column = \"text\")]`, `\"integer\"`, `\"real\"` or `\"boolean\"`, as its JSON is"
)]
pub trait ColumnType {
    /// The kind.
    const KIND: ColumnKind;
}

macro_rules! column_types {
    ($($kind:ident: $($type:ty),*;)*) => {
        $($(impl ColumnType for $type {
            const KIND: ColumnKind = ColumnKind::$kind;
        })*)*
    };
}

column_types! {
    Text: String, Box<str>, Arc<str>, Cow<'_, str>, char;
    Integer: i8, i16, i32, i64, isize, u8, u16, u32, u64, usize;
    Real: f32, f64;
    Boolean: bool;
}

impl<T: ColumnType> ColumnType for Option<T> {
    const KIND: ColumnKind = T::KIND;
}
