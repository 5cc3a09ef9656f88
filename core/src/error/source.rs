//! The cause of an error.

use std::{error::Error as StdError, fmt, sync::Arc};

/// The cause of an error, shared so that an [`Error`](crate::Error) can be given to every task that waits for it.
#[derive(Clone)]
pub struct Source(Arc<dyn StdError + Send + Sync>);

impl Source {
    /// Wraps an error of another library.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Source {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
