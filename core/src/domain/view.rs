//! Keyed views: what a read model is made of.

use std::{fmt, ops::Deref};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Result,
    domain::{Column, Envelope, Event, Index, Query, QueryItem, ViewName, ViewSpec},
    value::Category,
};

/// A read model with one row for each key, folded from events. Pure: the same events always give
/// the same rows, whoever folds them and in whatever batches.
///
/// `#[derive(View)]` makes it of a struct with two functions, `key` and `fold`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a view",
    label = "not a view",
    note = "write `#[derive(View, Default, Clone)]` and `#[view(event = …)]` above the struct"
)]
pub trait View: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The events that it is folded from.
    type Event: Event;
    /// Its name, and part of the name of its table: `a-z`, `0-9`, `_`, at most 40.
    const NAME: &'static str;
    /// Names that it had before: what is there under one of them is renamed.
    const FORMERLY: &'static [&'static str] = &[];
    /// The origin of its key.
    const KEYED_BY: KeyedBy = KeyedBy::Key;
    /// Columns beside the row, for queries in plain SQL.
    const COLUMNS: &'static [Column] = &[];
    /// Secondary indexes over them.
    const INDEXES: &'static [Index] = &[];

    /// Names the rows that an event changes: none, one or many.
    fn keys(event: &Self::Event, envelope: &Envelope, keys: &mut Keys);

    /// Changes the row of one of those keys. A row that isn't there yet is the default one.
    ///
    /// # Errors
    /// Whatever the view can't cope with; the event's effect on this key is then a matter of the
    /// worker's policy (R4).
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

    /// Its name and its table.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if a name, a column or an index is malformed.
    fn spec() -> Result<ViewSpec> {
        let formerly = Self::FORMERLY.iter().map(|name| ViewName::new(name));
        let spec = ViewSpec {
            formerly: formerly.collect::<Result<_>>()?,
            columns: Self::COLUMNS.to_vec(),
            indexes: Self::INDEXES.to_vec(),
            ..ViewSpec::rows(ViewName::new(Self::NAME)?)
        };
        spec.validate()?;
        Ok(spec)
    }
}

/// The origin of a view's key, which also determines how its work may be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyedBy {
    /// Whatever [`View::keys`] says. Events of one key may come from many streams, so they are taken in
    /// the order of the log.
    Key,
    /// The key of the stream, of streams of this category alone: a row has the events of one stream.
    /// Then the work can be divided by stream, as a topic is. An event that gives another key is an
    /// error: the claim is checked, not believed.
    Stream(&'static str),
}

/// Collects the keys of the rows that an event changes, each once.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Vec<String>,
}

impl Keys {
    /// Adds a key; one that is there already is not added again.
    pub fn push(&mut self, key: impl Into<String>) {
        let key = key.into();
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    /// Gives the keys, in the order in which they were added, and is empty again.
    pub fn drain(&mut self) -> impl Iterator<Item = String> + '_ {
        self.keys.drain(..)
    }
}

/// The types that the `key` function of a view may return: a key, perhaps none, or several.
#[diagnostic::on_unimplemented(
    message = "a view's `key` returns keys, not `{Self}`",
    label = "its `key` returns this",
    note = "return a `String`, a `&str`, or an `Option`, a `Vec` or an array of those"
)]
pub trait IntoKeys {
    /// Adds them.
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

/// The fate of a row after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowChange {
    /// It is kept as it is now.
    Keep,
    /// It is deleted. A later event of the key begins with the default row again.
    Delete,
}

/// The result of a fold.
pub type FoldResult = std::result::Result<RowChange, FoldError>;

/// Why a view can't cope with an event.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FoldError(#[from] Box<dyn std::error::Error + Send + Sync>);

impl FoldError {
    /// The reason.
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
    /// As the runtime wants it.
    ///
    /// # Errors
    /// That of the fold.
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
            Self::Key => f.write_str("freely"),
            Self::Stream(category) => write!(f, "by stream of {category}"),
        }
    }
}
