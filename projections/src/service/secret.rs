//! Texts that are never shown.

use std::fmt;

use serde::Deserialize;

/// A text that may contain a password: it is never shown, neither in logs nor in errors nor by `{:?}`.
///
/// ```
/// use highwater_projections::service::Secret;
///
/// let url = Secret::new("postgres://bank:hunter2@host/bank");
/// assert_eq!(format!("{url:?}"), "Secret(…)");
/// assert!(url.expose().contains("hunter2"));
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
