//! Queries for events.

use crate::{
    Result,
    domain::{Event, check_type_name},
    value::{Category, StreamId, Tag, Tags},
};

/// A selection of events: those that match at least one of the items; every event if there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The alternatives.
    pub items: Vec<QueryItem>,
}

/// One alternative of a [`Query`]: an event matches if it meets each part that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryItem {
    /// The event is in one of these categories.
    pub categories: Vec<Category>,
    /// The event has one of these types.
    pub types: Vec<String>,
    /// The event has all of these tags.
    pub tags: Tags,
}

impl Query {
    /// Selects every event.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects the events of one category.
    #[must_use]
    pub fn category(category: Category) -> Self {
        Self::from(QueryItem { categories: vec![category], ..QueryItem::default() })
    }

    /// Selects the events of these types.
    pub fn types<T: Into<String>>(types: impl IntoIterator<Item = T>) -> Self {
        Self::from(QueryItem {
            types: types.into_iter().map(Into::into).collect(),
            ..QueryItem::default()
        })
    }

    /// Selects the events with all of these tags.
    pub fn tags(tags: impl IntoIterator<Item = Tag>) -> Self {
        Self::from(QueryItem { tags: tags.into_iter().collect(), ..QueryItem::default() })
    }

    /// Selects the events that match this query or the other.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        if self.items.is_empty() || other.items.is_empty() {
            return Self::all();
        }
        self.items.extend(other.items);
        self
    }

    /// Narrows the items that name no types to those of `E`.
    #[must_use]
    pub fn narrowed_to<E: Event>(mut self) -> Self {
        let names = || E::NAMES.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        if self.items.is_empty() {
            self.items.push(QueryItem::default());
        }
        for item in self.items.iter_mut().filter(|item| item.types.is_empty()) {
            item.types = names();
        }
        self
    }

    /// Replaces the types of every item by these.
    #[must_use]
    pub fn with_types(mut self, types: &[String]) -> Self {
        for item in &mut self.items {
            item.types = types.to_vec();
        }
        self
    }

    /// Returns true if an event with these properties matches.
    #[must_use]
    pub fn matches(&self, stream: &StreamId, type_name: &str, tags: &Tags) -> bool {
        self.items.is_empty() || self.items.iter().any(|item| item.matches(stream, type_name, tags))
    }

    /// Checks that the types and tags are well formed.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if one isn't.
    pub fn validate(&self) -> Result<()> {
        let types = self.items.iter().flat_map(|item| &item.types);
        types.map(String::as_str).try_for_each(check_type_name)?;
        self.items.iter().flat_map(|item| item.tags.as_slice()).try_for_each(Tag::validate)?;
        Ok(())
    }
}

impl QueryItem {
    fn matches(&self, stream: &StreamId, type_name: &str, tags: &Tags) -> bool {
        let category = stream.category();
        (self.categories.is_empty() || self.categories.iter().any(|c| c.as_str() == category))
            && (self.types.is_empty() || self.types.iter().any(|t| t == type_name))
            && tags.contain_all(&self.tags)
    }
}

impl From<QueryItem> for Query {
    fn from(item: QueryItem) -> Self {
        Self { items: vec![item] }
    }
}
