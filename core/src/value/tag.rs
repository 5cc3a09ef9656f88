//! Tags: the things that an event is about, for queries that cross streams (W6).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Malformed;

/// The longest tag, in bytes of UTF-8.
pub const TAG_LIMIT: usize = 512;

/// One thing that an event is about, written `name:value`, for example `customer:42`.
///
/// Tags are compared byte by byte, never by a hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tag(String);

impl Tag {
    /// Creates the tag `name:value`. It is validated when it is used in an append or a query.
    #[must_use]
    pub fn new(name: &str, value: impl fmt::Display) -> Self {
        Self(format!("{name}:{value}"))
    }

    /// Wraps a tag as it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The whole tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name: the part before the first `:`, or the whole tag if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(name, _)| name)
    }

    /// Checks that the stores can hold this tag.
    ///
    /// # Errors
    /// [`Malformed`] if it is empty, longer than [`TAG_LIMIT`] bytes or holds NUL.
    pub fn validate(&self) -> Result<(), Malformed> {
        if self.0.is_empty() || self.0.len() > TAG_LIMIT || self.0.contains('\0') {
            let right = format!("use 1 to {TAG_LIMIT} bytes, without NUL");
            return Err(Malformed::new("tag", &self.0, right));
        }
        Ok(())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The tags of one event, sorted and without repeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// Returns no tags, without an allocation.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The tags as a sorted slice.
    #[must_use]
    pub fn as_slice(&self) -> &[Tag] {
        &self.0
    }

    /// Returns true if there are no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if this tag is among these.
    #[must_use]
    pub fn contain(&self, tag: &Tag) -> bool {
        self.0.binary_search(tag).is_ok()
    }

    /// Returns true if all of `wanted` are among these.
    #[must_use]
    pub fn contain_all(&self, wanted: &Self) -> bool {
        wanted.0.iter().all(|tag| self.contain(tag))
    }

    /// Returns these tags and the others.
    #[must_use]
    pub fn union(&self, others: &Self) -> Self {
        self.0.iter().chain(&others.0).cloned().collect()
    }
}

impl FromIterator<Tag> for Tags {
    fn from_iter<I: IntoIterator<Item = Tag>>(tags: I) -> Self {
        let mut tags: Vec<Tag> = tags.into_iter().collect();
        tags.sort_unstable();
        tags.dedup();
        Self(tags)
    }
}

impl<const N: usize> From<[Tag; N]> for Tags {
    fn from(tags: [Tag; N]) -> Self {
        tags.into_iter().collect()
    }
}
