//! The error of a command after an append whose outcome is not known.

use crate::{Code, Error, error::Source};

/// An append whose outcome is not known, and the error that kept its retry from an answer.
#[derive(Debug, thiserror::Error)]
#[error("{lost}; tried again: {retry}")]
struct Unsettled {
    lost: Source,
    #[source]
    retry: Error,
}

/// Returns the error of a command one of whose appends has this unknown outcome, and whose last attempt
/// ended in `error`. If that doesn't say that nothing has been stored, the outcome is still unknown.
pub(super) fn after(unknown: Error, error: Error) -> Error {
    match unknown {
        Error::UnknownOutcome { command, source: lost } if !settles(&error) => {
            Error::UnknownOutcome { command, source: Source::new(Unsettled { lost, retry: error }) }
        }
        _ => error,
    }
}

/// Returns true if the store was asked for the command and didn't have it, or if the error says itself
/// that the outcome is unknown. All other errors are only about their own attempt.
fn settles(error: &Error) -> bool {
    error.is_rejected()
        || error.is_conflict()
        || error.is_unknown_outcome()
        || error.code() == Code::COMMAND_ID_REUSED
}
