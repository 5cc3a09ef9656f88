//! The error of text that is not a value of its type.

/// Text that is not a value of its type. The message says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {right}")]
pub struct Malformed {
    what: String,
    text: String,
    right: String,
}

/// The number of characters of malformed text that an error shows.
const SHOWN_CHARACTERS: usize = 80;

impl Malformed {
    /// Creates the error. `what` names the type, `right` says what would be right.
    pub fn new(what: impl Into<String>, text: &str, right: impl Into<String>) -> Self {
        Self { what: what.into(), text: shortened(text), right: right.into() }
    }
}

/// Shortens bad input, which may be long, for an error message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
