//! Stored events without the tags that the program gives to new ones.

use serde::Serialize;

use crate::{
    Result,
    domain::Envelope,
    value::{Position, Tag, Tags},
};

/// A selection of events after a position that lack tags: those that a query by tag would miss (W6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untagged {
    /// The alternatives.
    pub missing: Vec<MissingTag>,
    /// The position after which an event is selected.
    pub after: Position,
}

/// The events of one of these types that have no tag of this name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MissingTag {
    /// The name: what is before the `:` of a tag.
    pub name: String,
    /// The types, at least one.
    pub types: Vec<String>,
}

/// Tags to add to a stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedTags {
    /// The position of the event.
    pub position: Position,
    /// The tags. Those that the event has already stay.
    pub tags: Tags,
}

impl Untagged {
    /// Returns true if the event is selected.
    #[must_use]
    pub fn selects(&self, event: &Envelope) -> bool {
        event.position > self.after && self.missing.iter().any(|missing| missing.selects(event))
    }
}

impl MissingTag {
    /// Returns true if the event is of one of the types, and has no tag of this name.
    #[must_use]
    pub fn selects(&self, event: &Envelope) -> bool {
        self.is_missing_in(&event.type_name, &event.tags)
    }

    /// Returns true if the type is one of these, and none of the tags has this name.
    #[must_use]
    pub fn is_missing_in(&self, type_name: &str, tags: &Tags) -> bool {
        self.types.iter().any(|name| name == type_name)
            && !tags.as_slice().iter().any(|tag| tag.name() == self.name)
    }

    /// The text with which a tag of this name begins.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}:", self.name)
    }
}

impl AddedTags {
    /// Checks that the stores can hold the tags.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if one is malformed.
    pub fn validate(&self) -> Result<()> {
        self.tags.as_slice().iter().try_for_each(Tag::validate)?;
        Ok(())
    }
}
