//! Keyed views, which read models are made of.

use std::{collections::HashSet, fmt, hash::Hash, ops::Deref};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Result,
    domain::{
        Column, Envelope, Event, Index, Query, QueryItem, ViewDefinition, ViewName, ViewSpec,
    },
    value::Category,
};

/// A read model with one row for each key, folded from events. Pure: the same events always give
/// the same rows, in any process and in any batches. So its serialisation must lose nothing: rows are folded on from
/// what was stored. A row that can't be decoded again is refused before it is stored.
///
/// `#[derive(View)]` implements it for a struct with two functions, `key` and `fold`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a view",
    label = "not a view",
    note = "write `#[derive(View, Default, Clone)]` and `#[view(event = …)]` above the struct"
)]
pub trait View: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The events that it is folded from.
    type Event: Event;
    /// Its name, and part of the name of its table: `a-z`, `0-9`, `_`, at most 40 characters.
    const NAME: &'static str;
    /// Its former names: a view that is stored under one of them is renamed.
    const FORMERLY: &'static [&'static str] = &[];
    /// Its version. Raise it when `keys` or `fold` gives other rows: nothing else shows that
    /// ([`ViewDefinition`]).
    const VERSION: u32 = 1;
    /// The origin of its key.
    const KEYED_BY: KeyedBy = KeyedBy::Key;
    /// Columns beside the row, for queries in plain SQL.
    const COLUMNS: &'static [Column] = &[];
    /// Secondary indexes over these columns.
    const INDEXES: &'static [Index] = &[];
    /// A text that is another one as soon as a field of the row, its type or its serialisation is; empty if it isn't
    /// known. The store keeps it, and refuses to go on with rows of another form ([`ViewDefinition`]).
    const ROW: &'static str = "";

    /// Names the rows that an event changes: none, one or many.
    fn keys(event: &Self::Event, envelope: &Envelope, keys: &mut Keys);

    /// Changes the row of one of those keys. A row that doesn't exist yet is the default one.
    ///
    /// # Errors
    /// Any error of the view; the worker's policy decides on the event's effect on this key (R4).
    fn fold(&mut self, event: &Self::Event, at: &EventContext<'_>) -> FoldResult;

    /// The events that it is folded from.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if the category of [`KeyedBy::Stream`] is malformed.
    fn query() -> Result<Query> {
        let query = match Self::KEYED_BY {
            KeyedBy::Key => Query::all(),
            KeyedBy::Stream(category) => Query::from(QueryItem {
                categories: vec![Category::new(category)?],
                ..QueryItem::default()
            }),
        };
        Ok(query.narrowed_to::<Self::Event>())
    }

    /// Returns the definition, which is compared with that of the stored rows.
    ///
    /// # Errors
    /// As [`View::query`].
    fn definition() -> Result<ViewDefinition> {
        let definition = ViewDefinition::new(Self::ROW, &Self::KEYED_BY, &Self::query()?);
        Ok(ViewDefinition { version: Self::VERSION, ..definition })
    }

    /// Returns the name of the view and the form of its table.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if a name, a column or an index is malformed.
    fn spec() -> Result<ViewSpec> {
        let formerly = Self::FORMERLY.iter().map(|name| ViewName::new(name));
        let spec = ViewSpec {
            formerly: formerly.collect::<Result<_>>()?,
            columns: Self::COLUMNS.to_vec(),
            indexes: Self::INDEXES.to_vec(),
            definition: Some(Self::definition()?),
            ..ViewSpec::rows(ViewName::new(Self::NAME)?)
        };
        spec.validate()?;
        Ok(spec)
    }
}

/// The origin of a view's key, which also determines how its work may be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyedBy {
    /// The result of [`View::keys`]. Events of one key may come from many streams, so they are
    /// processed in the order of the log.
    Key,
    /// The key of the stream, for streams of this category only: a row has the events of one
    /// stream. So the work can be divided by stream, as a topic is. An event that gives another key
    /// is an error: the declaration is checked, not trusted.
    Stream(&'static str),
}

/// Collects the keys of the rows that an event changes, each once.
#[derive(Debug, Default)]
pub struct Keys(Distinct<String>);

impl Keys {
    /// Adds a key, unless it is there already.
    pub fn push(&mut self, key: impl Into<String>) {
        self.0.push(key.into());
    }

    /// Removes and returns the keys, in the order in which they were added.
    pub fn drain(&mut self) -> impl Iterator<Item = String> + '_ {
        self.0.drain()
    }
}

/// Values, each once, in the order in which they were added.
#[derive(Debug)]
struct Distinct<T> {
    values: Vec<T>,
    /// The same values, once they are too many to compare each with all.
    known: HashSet<T>,
}

/// The number of values up to which comparing them is faster than hashing.
const FEW_VALUES: usize = 16;

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { values: Vec::new(), known: HashSet::new() }
    }
}

impl<T: Clone + Eq + Hash> Distinct<T> {
    fn push(&mut self, value: T) {
        let is_new = match self.values.len() {
            0..FEW_VALUES => !self.values.contains(&value),
            _ => {
                if self.known.is_empty() {
                    self.known.extend(self.values.iter().cloned());
                }
                self.known.insert(value.clone())
            }
        };
        if is_new {
            self.values.push(value);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.known.clear();
        self.values.drain(..)
    }
}

/// The types that the `key` function of a view may return: a key, perhaps none, or several.
#[diagnostic::on_unimplemented(
    message = "a view's `key` returns keys, not `{Self}`",
    label = "its `key` returns this",
    note = "return a `String`, a `&str`, or an `Option`, a `Vec` or an array of those"
)]
pub trait IntoKeys {
    /// Adds these keys.
    fn add_to(self, keys: &mut Keys);
}

impl IntoKeys for String {
    fn add_to(self, keys: &mut Keys) {
        keys.push(self);
    }
}

impl IntoKeys for &str {
    fn add_to(self, keys: &mut Keys) {
        keys.push(self);
    }
}

impl IntoKeys for &String {
    fn add_to(self, keys: &mut Keys) {
        keys.push(self.as_str());
    }
}

impl<K: IntoKeys> IntoKeys for Option<K> {
    fn add_to(self, keys: &mut Keys) {
        self.into_iter().for_each(|key| key.add_to(keys));
    }
}

impl<K: IntoKeys> IntoKeys for Vec<K> {
    fn add_to(self, keys: &mut Keys) {
        self.into_iter().for_each(|key| key.add_to(keys));
    }
}

impl<K: IntoKeys, const N: usize> IntoKeys for [K; N] {
    fn add_to(self, keys: &mut Keys) {
        self.into_iter().for_each(|key| key.add_to(keys));
    }
}

/// The context in which an event is folded: the key of the row, and the stored event.
#[derive(Debug, Clone, Copy)]
pub struct EventContext<'a> {
    /// The key of the row.
    pub key: &'a str,
    /// The event as it is stored.
    pub envelope: &'a Envelope,
}

impl Deref for EventContext<'_> {
    type Target = Envelope;

    fn deref(&self) -> &Envelope {
        self.envelope
    }
}

/// The change of a row by an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowChange {
    /// Keep the row as it is now.
    Keep,
    /// Delete the row. A later event of the key starts with the default row again.
    Delete,
}

/// The result of a fold.
pub type FoldResult = std::result::Result<RowChange, FoldError>;

/// The reason for which a view can't apply an event.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FoldError(#[from] Box<dyn std::error::Error + Send + Sync>);

impl FoldError {
    /// Creates the error with this reason.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

/// The types that the `fold` function of a view may return: nothing, a [`RowChange`], or a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "a view's `fold` returns nothing or a `RowChange`, not `{Self}`",
    label = "its `fold` returns this",
    note = "return nothing, a `RowChange`, or a `Result` of one of those"
)]
pub trait IntoFoldResult {
    /// Converts the result into the form that the runtime expects.
    ///
    /// # Errors
    /// The error of the fold.
    fn into_fold_result(self) -> FoldResult;
}

impl IntoFoldResult for () {
    fn into_fold_result(self) -> FoldResult {
        Ok(RowChange::Keep)
    }
}

impl IntoFoldResult for RowChange {
    fn into_fold_result(self) -> FoldResult {
        Ok(self)
    }
}

impl<T, E> IntoFoldResult for std::result::Result<T, E>
where
    T: IntoFoldResult,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn into_fold_result(self) -> FoldResult {
        self.map_err(FoldError::new)?.into_fold_result()
    }
}

impl fmt::Display for KeyedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("by key"),
            Self::Stream(category) => write!(f, "by stream of {category}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, hash::Hasher};

    use super::*;

    thread_local! {
        /// The number of comparisons so far.
        static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    /// A number that counts its comparisons.
    #[derive(Debug, Clone, Copy, Eq)]
    struct Counted(usize);

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            COMPARISONS.set(COMPARISONS.get() + 1);
            self.0 == other.0
        }
    }

    impl Hash for Counted {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    #[test]
    fn keys_come_once_each_in_their_order_and_no_key_is_compared_with_all() {
        let many = 2_000;
        let mut keys = Distinct::default();
        for _ in 0..2 {
            (0..many).chain(0..many).for_each(|number| keys.push(Counted(number)));
            assert!(keys.drain().map(|key| key.0).eq(0..many));
        }
        assert_eq!(keys.drain().count(), 0);
        // Each is compared with itself when it comes again, and now and then with one of the same hash.
        assert!(COMPARISONS.get() < 4 * many, "{} comparisons", COMPARISONS.get());
    }
}
