//! Errors of applying events, and the places of application code that panics.

use highwater_core::{
    Envelope, Error,
    error::{Corrupt, Panicked},
};

/// An error of applying events, with its key if it is about the effect on one key alone.
pub(crate) struct ApplyError {
    pub(crate) error: Error,
    pub(crate) key: Option<String>,
    /// The errors of other keys of the same event, which was applied alone.
    pub(crate) others: Vec<(String, Error)>,
}

impl ApplyError {
    pub(crate) fn of_key(key: &str, error: Error) -> Self {
        Self { error, key: Some(key.to_owned()), others: Vec::new() }
    }
}

impl From<Error> for ApplyError {
    fn from(error: Error) -> Self {
        let key = match &error {
            Error::Corrupt(corrupt) => match &**corrupt {
                Corrupt::NotApplied { key, .. } | Corrupt::Row { key, .. } => Some(key.clone()),
                _ => None,
            },
            _ => None,
        };
        Self { error, key, others: Vec::new() }
    }
}

impl From<Panicked> for ApplyError {
    fn from(panicked: Panicked) -> Self {
        Error::from(panicked).into()
    }
}

/// Returns the place of application code and the event that it was given, for [`Panicked`].
pub(crate) fn place(code: &str, event: &Envelope) -> String {
    let Envelope { position, type_name, stream, .. } = event;
    format!("{code} at event {position} ({type_name}) of stream {stream}")
}
