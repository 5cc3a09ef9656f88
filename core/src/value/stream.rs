//! Names of streams and of their categories.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::Malformed;

/// The longest stream id, in bytes of UTF-8. It keeps every key well inside what the stores' indexes
/// can hold.
pub const STREAM_ID_LIMIT: usize = 1024;

/// The kind of a stream: the part of its id before the first `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Category(Arc<str>);

impl Category {
    /// Checks and wraps a category: ASCII letters, digits, `_` and `.`, at least one of them.
    ///
    /// # Errors
    /// [`Malformed`] if the name is empty or holds another character.
    pub fn new(name: &str) -> Result<Self, Malformed> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if name.is_empty() || name.len() > STREAM_ID_LIMIT / 2 || !name.chars().all(allowed) {
            let right = "use ASCII letters, digits, '_' and '.'";
            return Err(Malformed::new("category", name, right));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Category {
    type Error = Malformed;

    fn try_from(name: String) -> Result<Self, Malformed> {
        Self::new(&name)
    }
}

impl From<Category> for String {
    fn from(category: Category) -> Self {
        category.0.as_ref().into()
    }
}

/// Names a stream as `category-key`, for example `account-alice`.
///
/// The key is any text without NUL; it may itself hold `-`. The whole id is at most
/// [`STREAM_ID_LIMIT`] bytes. Ids are compared byte by byte: nothing is normalised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The stream of this category with this key.
    ///
    /// # Errors
    /// [`Malformed`] if the category or the key is empty, the category holds a character other
    /// than ASCII letters, digits, `_` and `.`, the key holds NUL, or the id is too long.
    pub fn new(category: &str, key: impl fmt::Display) -> Result<Self, Malformed> {
        Self::parse(&format!("{category}-{key}"))
    }

    /// Parses `category-key`.
    ///
    /// # Errors
    /// As [`StreamId::new`].
    pub fn parse(id: &str) -> Result<Self, Malformed> {
        let malformed = || {
            let right =
                format!("write category-key, without NUL, in at most {STREAM_ID_LIMIT} bytes");
            Malformed::new("stream id", id, right)
        };
        let (category, key) = id.split_once('-').ok_or_else(malformed)?;
        Category::new(category)?;
        if key.is_empty() || key.contains('\0') || id.len() > STREAM_ID_LIMIT {
            return Err(malformed());
        }
        Ok(Self(id.into()))
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `-`.
    #[must_use]
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or("", |(category, _)| category)
    }

    /// The part after the first `-`.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, key)| key)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({:?})", &*self.0)
    }
}

impl TryFrom<String> for StreamId {
    type Error = Malformed;

    fn try_from(id: String) -> Result<Self, Malformed> {
        Self::parse(&id)
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.0.as_ref().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dash_parts_category_and_key() {
        let id = StreamId::new("account", "a-b").unwrap();
        assert_eq!((id.category(), id.key()), ("account", "a-b"));
    }

    #[test]
    fn bad_ids_are_refused() {
        for id in ["", "account", "-key", "account-", "a b-key", "account-nul\0"] {
            assert!(StreamId::parse(id).is_err(), "{id:?}");
        }
        let long = "x".repeat(STREAM_ID_LIMIT);
        assert!(StreamId::new("account", long).is_err());
    }
}
