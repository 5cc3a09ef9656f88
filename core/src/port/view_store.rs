//! Where views live: rows by key, and the checkpoint that is committed with them (R1).

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::{Result, error::Invalid, value::Position};

/// The name of a view, which is also part of the name of its table: lower-case ASCII letters,
/// digits and `_`, beginning with a letter, at most 40 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ViewName(String);

impl ViewName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if it isn't as above.
    pub fn new(name: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins_well || name.len() > 40 || !name.chars().all(allowed) {
            let right = "use a-z, 0-9 and '_', beginning with a letter, at most 40";
            return Err(Invalid::malformed("view name", name, right).into());
        }
        Ok(Self(name.to_owned()))
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

/// How far a view is: every event up to `position` is in it, the last of them recorded at `as_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The position.
    pub position: Position,
    /// When the event there was recorded; the epoch for a view that has seen none.
    pub as_of: Timestamp,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { position: Position::START, as_of: Timestamp::UNIX_EPOCH }
    }
}

/// Rows of a view and the checkpoint at which they were read, both of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredView {
    /// The values of the keys asked for, in their order.
    pub rows: Vec<Option<Bytes>>,
    /// How far the view is.
    pub checkpoint: Checkpoint,
}

/// Changes to a view that become visible together with its checkpoint.
#[derive(Debug, Clone)]
pub struct ViewCommit {
    /// The view.
    pub view: ViewName,
    /// Where its checkpoint must be; elsewhere nothing is written.
    pub from: Position,
    /// Where it will be.
    pub to: Checkpoint,
    /// Rows to write: each key once, `None` to delete it.
    pub rows: Vec<(String, Option<Bytes>)>,
}

/// Storage of views.
#[async_trait]
pub trait ViewStore: Send + Sync + 'static {
    /// Makes sure that the view's table is there, and says how far it is.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), or [`Invalid`](crate::Error::Invalid) if the
    /// table can't be made.
    async fn open_view(&self, view: &ViewName) -> Result<Checkpoint>;

    /// Reads rows and the checkpoint in one snapshot.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), or [`Invalid`](crate::Error::Invalid) if the
    /// view has never been opened.
    async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView>;

    /// Writes rows and checkpoint in one transaction, if the checkpoint is where it must be.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if it isn't; [`Unavailable`](crate::Error::Unavailable),
    /// after which the checkpoint tells whether it was written.
    async fn commit_view(&self, commit: ViewCommit) -> Result<()>;
}
