//! The rules for rows of views with columns: every store accepts what the strictest one accepts, and refuses
//! the rest with one message.

use std::fmt;

use highwater_core::{
    Result,
    domain::{Column, ColumnKind, Index, ViewName, ViewSpec},
    error::{Invalid, Source},
};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::rows::not_json;

/// The most bytes of text in the columns of one index. A page of PostgreSQL has room for three entries of
/// 2,704 bytes, and each of at most 32 columns takes up to 8 bytes beside its text.
pub(crate) const INDEXED_TEXT_LIMIT: usize = 2_400;

/// The columns and indexes of a view.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColumnRules {
    columns: Vec<Column>,
    indexes: Vec<Index>,
}

impl ColumnRules {
    #[cfg(feature = "sqlite")]
    pub(crate) fn new(columns: Vec<Column>, indexes: Vec<Index>) -> Self {
        Self { columns, indexes }
    }

    /// Adds the columns and indexes of a spec, and returns the rules of those that are new: rows that exist
    /// must fit them. A table keeps the columns that a later spec lacks.
    pub(crate) fn add(&mut self, spec: &ViewSpec) -> Self {
        let is_new = |column: &&Column| !self.columns.contains(column);
        let columns: Vec<Column> = spec.columns.iter().filter(is_new).copied().collect();
        let is_new = |index: &&Index| !self.indexes.contains(index);
        let indexes: Vec<Index> = spec.indexes.iter().filter(is_new).copied().collect();
        self.columns.extend(&columns);
        self.indexes.extend(&indexes);
        Self { columns, indexes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.indexes.is_empty()
    }

    /// Returns the column of this name and its kind.
    pub(crate) fn kind(&self, name: &str) -> Option<ColumnKind> {
        self.columns.iter().find(|column| column.name == name).map(|column| column.kind)
    }

    /// Refuses a row that a column or an index can't hold, or that is not JSON.
    pub(crate) fn check(&self, view: &ViewName, key: &str, row: &str) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        if has_nul(row) {
            return Err(
                refused(view, key, "a row with columns may have no NUL in its texts").into()
            );
        }
        let fields = self.fields(row).map_err(|error| not_json(view, key, Source::new(error)))?;
        self.check_kinds(view, key, &fields)?;
        self.check_indexes(view, key, &fields)?;
        Ok(())
    }

    /// Reads the fields of a row that have columns. A row that is no object has none.
    fn fields(&self, row: &str) -> serde_json::Result<Vec<NamedField>> {
        let mut json = serde_json::Deserializer::from_str(row);
        let fields = match row.trim_start().starts_with('{') {
            true => json.deserialize_map(RowVisitor(self))?,
            false => IgnoredAny::deserialize(&mut json).map(|_| Vec::new())?,
        };
        json.end()?;
        Ok(fields)
    }

    fn check_kinds(
        &self,
        view: &ViewName,
        key: &str,
        fields: &[NamedField],
    ) -> Result<(), Invalid> {
        for (name, field) in fields {
            if let Some(kind) = self.kind(name)
                && !field.fits(kind)
            {
                let kind = name_of(kind);
                let why = format!("the column {name} holds {kind}, and the field is {field}");
                return Err(refused(view, key, &why));
            }
        }
        Ok(())
    }

    fn check_indexes(
        &self,
        view: &ViewName,
        key: &str,
        fields: &[NamedField],
    ) -> Result<(), Invalid> {
        for index in &self.indexes {
            let indexed = fields.iter().filter(|(name, _)| index.contains(name));
            let bytes: usize = indexed.map(|(_, field)| field.text_len()).sum();
            if bytes > INDEXED_TEXT_LIMIT {
                let columns = index.join(", ");
                let what = format!("the row {key:?} of view {view} can't be indexed: {columns}");
                return Err(Invalid::too_large(&what, bytes, INDEXED_TEXT_LIMIT));
            }
        }
        Ok(())
    }

    /// Returns the name of the column of a field, if it has one.
    fn column_of(&self, field: &str) -> Option<&'static str> {
        let columns = self.columns.iter().map(|column| column.name);
        let indexed = self.indexes.iter().flat_map(|index| index.iter().copied());
        columns.chain(indexed).find(|name| *name == field)
    }
}

fn refused(view: &ViewName, key: &str, why: &str) -> Invalid {
    Invalid::request(format!("the row {key:?} of view {view} can't be stored: {why}"))
}

fn name_of(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "a text",
        ColumnKind::Integer => "an integer of 64 bits",
        ColumnKind::Real => "a floating-point number",
        ColumnKind::Boolean => "a boolean",
    }
}

/// Returns true if JSON has a text with NUL, which is always escaped.
fn has_nul(json: &str) -> bool {
    const NUL: &str = "u0000";
    let mut rest = json;
    while let Some((_, escape)) = rest.split_once('\\') {
        if escape.starts_with(NUL) {
            return true;
        }
        // The character after a backslash begins no escape: it may be a backslash.
        let mut after = escape.chars();
        after.next();
        rest = after.as_str();
    }
    false
}

/// The name of a column, and its field.
type NamedField = (&'static str, Field);

/// A field of a row, as far as a column depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Null,
    Boolean,
    Integer,
    /// A number that is no integer of 64 bits.
    Number,
    /// A text of so many bytes.
    Text(usize),
    Compound,
}

impl Field {
    fn fits(self, kind: ColumnKind) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean => kind == ColumnKind::Boolean,
            Self::Integer => matches!(kind, ColumnKind::Integer | ColumnKind::Real),
            Self::Number => kind == ColumnKind::Real,
            Self::Text(_) => kind == ColumnKind::Text,
            Self::Compound => false,
        }
    }

    fn text_len(self) -> usize {
        if let Self::Text(bytes) = self { bytes } else { 0 }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Number => "another number",
            Self::Text(_) => "a text",
            Self::Compound => "an array or an object",
        })
    }
}

/// Reads the fields of an object that have columns.
struct RowVisitor<'a>(&'a ColumnRules);

impl<'de> Visitor<'de> for RowVisitor<'_> {
    type Value = Vec<NamedField>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(column) = row.next_key_seed(NameVisitor(self.0))? {
            match column {
                Some(name) => fields.push((name, row.next_value()?)),
                None => drop(row.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// Reads the name of a field, and returns that of its column.
struct NameVisitor<'a>(&'a ColumnRules);

impl<'de> DeserializeSeed<'de> for NameVisitor<'_> {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for NameVisitor<'_> {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.column_of(name))
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(field: D) -> Result<Self, D::Error> {
        field.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field")
    }

    fn visit_unit<E: Error>(self) -> Result<Field, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Boolean)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Field, E> {
        Ok(Field::Integer)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Field, E> {
        Ok(if i64::try_from(number).is_ok() { Field::Integer } else { Field::Number })
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.len()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut field: A) -> Result<Field, A::Error> {
        while field.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Compound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut field: A) -> Result<Field, A::Error> {
        while field.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Compound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_escape_is_a_nul() {
        for json in [r#""\\u0000""#, r#""\u0001""#, r#""\\\\u0000""#, r#"{"a":"\"u0000"}"#, "\\"] {
            assert!(!has_nul(json), "{json}");
        }
        for json in [r#""\u0000""#, r#""\\\u0000""#, r#"{"\u0000":1}"#, r#"["ü\\","x\u0000"]"#] {
            assert!(has_nul(json), "{json}");
        }
    }
}
