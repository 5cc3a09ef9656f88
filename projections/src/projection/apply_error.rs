//! Errors of applying events, and the places of application code that panics.

use highwater_core::{
    Code, Envelope, Error,
    domain::ViewName,
    error::{Corrupt, Panicked, Source},
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

/// The error of an event that can't be applied to a key.
pub(crate) fn not_applied(view: &ViewName, key: &str, event: &Envelope, source: Source) -> Corrupt {
    Corrupt::NotApplied {
        view: view.to_string(),
        key: key.to_owned(),
        position: event.position,
        stream: event.stream.clone(),
        type_name: event.type_name.to_string(),
        source,
    }
}

/// Names the view, the event and the key of an error that knows none of them: an application's own, or the
/// store's refusal of what was to be written.
pub(crate) fn name_event(view: &ViewName, key: &str, event: &Envelope, error: &Error) -> Error {
    match error {
        // It names the row and the field, and its next step is the developer's.
        Error::Invalid(_) if error.code() == Code::UNSTORABLE => error.clone(),
        Error::Rejected(_) | Error::Invalid(_) => {
            not_applied(view, key, event, Source::new(error.clone())).into()
        }
        _ => error.clone(),
    }
}

/// Returns the place of application code and the event that it was given, for [`Panicked`].
pub(crate) fn place(code: &str, event: &Envelope) -> String {
    format!("{code} {}", event_place(event))
}

/// Returns the words that name an event in a place.
pub(crate) fn event_place(event: &Envelope) -> String {
    let Envelope { position, type_name, stream, .. } = event;
    format!("at event {position} ({type_name}) of stream {stream}")
}

/// Returns the words that name a batch in a place. After bisecting a batch is one event.
pub(crate) fn batch_place(batch: &[Envelope]) -> String {
    match batch {
        [event] => event_place(event),
        [first, .., last] => format!("at events {} to {}", first.position, last.position),
        [] => "without events".to_owned(),
    }
}
