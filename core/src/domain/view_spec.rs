//! The name of a view and the form of its table.

use std::fmt;

use super::ViewDefinition;
use crate::{Result, error::Invalid, value::Position};

/// The name of a view, which is also part of the name of its table: lower-case ASCII letters,
/// digits and `_`, beginning with a letter, at most 40 bytes. It doesn't end in `__` and digits, as the names do under
/// which the later generations of a view are stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewName(String);

impl ViewName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if the name is malformed.
    pub fn new(name: &str) -> Result<Self> {
        let name = Self(identifier("view name", name)?);
        if name.is_of_generation() {
            let right = "\"__\" and digits at the end are reserved for generations of views";
            return Err(Invalid::malformed("view name", name.as_str(), right).into());
        }
        Ok(name)
    }

    /// Wraps a name as a store has it: the end in `__` and digits was not reserved at all times.
    ///
    /// # Errors
    /// As [`new`](Self::new), but for that end.
    pub fn from_stored(name: &str) -> Result<Self> {
        identifier("view name", name).map(Self)
    }

    /// Returns the name under which a generation of this view is stored: that of the first is the name of the view.
    #[must_use]
    pub fn of_generation(&self, generation: u32) -> Self {
        match generation {
            0 | 1 => self.clone(),
            _ => Self(format!("{self}__{generation}")),
        }
    }

    fn is_of_generation(&self) -> bool {
        let end = self.0.rsplit_once("__").map(|(_, end)| end);
        end.is_some_and(|end| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn identifier(what: &'static str, name: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins_well || name.len() > 40 || !name.chars().all(allowed) {
        let right = "use a-z, 0-9 and '_', beginning with a letter, at most 40";
        return Err(Invalid::malformed(what, name, right).into());
    }
    Ok(name.to_owned())
}

/// A column beside the row itself, for queries in plain SQL. Its value is that of a field of the
/// row, kept up to date by the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name, and the name of the row's field: as a view's name, but not `key` or `value`.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: ColumnKind,
}

/// The kind of a column's values. A field that is absent or null gives null; a row with a field of another
/// kind, or with NUL in any text, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A string.
    Text,
    /// An integer of 64 bits.
    Integer,
    /// A floating-point number.
    Real,
    /// True or false.
    Boolean,
}

/// A secondary index: the columns that it has, in order. A row with more than 2,400 bytes of text in them is
/// refused.
pub type Index = &'static [&'static str];

/// The generation of a view that a spec opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationSpec {
    /// Its number; the first is 1.
    pub number: u32,
    /// The position from which on a new one is complete: that of the log's head when it is made.
    pub complete_at: Position,
}

impl Default for GenerationSpec {
    /// The first generation.
    fn default() -> Self {
        Self { number: 1, complete_at: Position::START }
    }
}

/// The name of a view and the storage of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSpec {
    /// Its name.
    pub name: ViewName,
    /// Its generation.
    pub generation: GenerationSpec,
    /// Its former names.
    pub formerly: Vec<ViewName>,
    /// True if it has a table of rows; a projection that writes its own tables has none.
    pub rows: bool,
    /// Columns beside the row.
    pub columns: Vec<Column>,
    /// Secondary indexes over those.
    pub indexes: Vec<Index>,
    /// The position after which a new view starts.
    pub start_after: Position,
    /// The definition of its rows; `None` if it isn't known, as for a projection with its own tables.
    pub definition: Option<ViewDefinition>,
}

impl ViewSpec {
    /// Creates the spec of a view with rows, without columns or indexes.
    #[must_use]
    pub fn rows(name: ViewName) -> Self {
        Self {
            name,
            generation: GenerationSpec::default(),
            formerly: Vec::new(),
            rows: true,
            columns: Vec::new(),
            indexes: Vec::new(),
            start_after: Position::START,
            definition: None,
        }
    }

    /// Creates the spec of a view that has progress but no rows.
    #[must_use]
    pub fn without_rows(name: ViewName) -> Self {
        Self { rows: false, ..Self::rows(name) }
    }

    /// Returns the name under which its generation is stored.
    #[must_use]
    pub fn stored_name(&self) -> ViewName {
        self.name.of_generation(self.generation.number)
    }

    /// Checks that columns and indexes are well formed, so that adapters need not.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if a column's name is malformed, reserved or used
    /// twice, or an index names something that is not a column.
    pub fn validate(&self) -> Result<()> {
        for (place, column) in self.columns.iter().enumerate() {
            identifier("column", column.name)?;
            let taken = matches!(column.name, "key" | "value")
                || self.columns[..place].iter().any(|other| other.name == column.name);
            if taken {
                let message = format!("view {} can't have a second {:?}", self.name, column.name);
                return Err(Invalid::request(message).into());
            }
        }
        self.indexes.iter().try_for_each(|index| self.validate_index(index))
    }

    fn validate_index(&self, index: Index) -> Result<()> {
        let is_column = |name: &str| self.columns.iter().any(|column| column.name == name);
        let wrong = match index.iter().find(|name| !is_column(name)) {
            Some(name) => format!("an index of view {} names {name:?}, no column", self.name),
            None if index.is_empty() => format!("an index of view {} has no column", self.name),
            None => return Ok(()),
        };
        Err(Invalid::request(wrong).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r5_no_view_has_a_name_under_which_a_generation_is_stored() {
        let view = ViewName::new("balances").unwrap();
        assert_eq!(view.of_generation(1), view);
        assert_eq!(view.of_generation(12).as_str(), "balances__12");
        for name in ["balances__12", "a__b__0", "a__1"] {
            let error = ViewName::new(name).unwrap_err();
            assert_eq!(error.code(), crate::Code::MALFORMED, "{error}");
            assert_eq!(ViewName::from_stored(name).unwrap().as_str(), name);
        }
        assert!(ViewName::from_stored("Balances").is_err());
        for name in ["balances_12", "balances__", "a__1b", "a__b"] {
            assert_eq!(ViewName::new(name).unwrap().as_str(), name);
        }
    }
}
