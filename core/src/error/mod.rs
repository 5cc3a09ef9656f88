//! Errors: each names the next step and its actor, has a stable code, and keeps its source.
//!
//! | File | What is in it |
//! |---|---|
//! | `code` | stable codes of errors, and the next step after each |
//! | `conflict` | conflicts: another writer was faster |
//! | `corrupt` | stored data that can't be understood |
//! | `debug` | `Debug` of errors: the form that Rust prints when `main` returns one |
//! | `invalid` | requests and configurations that can't work as they are |
//! | `panicked` | panics of application code: bugs, each an error of its own |
//! | `rejection` | rejections by the domain: the name of the rule, a message, and the offending values |
//! | `source` | the cause of an error |
//! | `unavailable` | the store could not be reached, or not in time |

mod code;
mod conflict;
mod corrupt;
mod debug;
mod invalid;
mod panicked;
mod rejection;
mod source;
mod unavailable;

pub use code::{Code, NextStep};
pub use conflict::{Actual, Conflict};
pub use corrupt::Corrupt;
pub use invalid::Invalid;
pub use panicked::Panicked;
pub use rejection::Rejection;
pub use source::Source;
pub use unavailable::Unavailable;

use crate::value::{CommandId, Malformed};

/// The result of Highwater's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by the actor of the next step.
///
/// | Variant | What happened | What to do |
/// |---|---|---|
/// | [`Rejected`](Error::Rejected) | the domain refused the command | show the reason to the user |
/// | [`Conflict`](Error::Conflict) | another writer was faster | decide again on fresh state |
/// | [`Unavailable`](Error::Unavailable) | nothing was changed | try the same again |
/// | [`UnknownOutcome`](Error::UnknownOutcome) | the command may have been stored or not | send it again with the same command id |
/// | [`Invalid`](Error::Invalid) | the request or the configuration is wrong | correct it |
/// | [`Corrupt`](Error::Corrupt) | stored data can't be understood | an operator or a developer must look |
/// | [`Panicked`](Error::Panicked) | application code panicked | a developer must fix the bug |
///
/// The code of [`Error::code`] names a page under `docs/errors/`.
///
/// `Debug` prints code, message and causes on lines of their own, since that is what Rust prints when
/// `main` returns an error; `{:#?}` prints the fields.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An invariant or a decision refused the command; nothing was appended (W5).
    #[error(transparent)]
    Rejected(Box<Rejection>),
    /// The stream, the boundary or the view has moved on; nothing was appended (W1, W6).
    #[error(transparent)]
    Conflict(Box<Conflict>),
    /// The store could not be reached; nothing was changed.
    #[error(transparent)]
    Unavailable(Box<Unavailable>),
    /// The connection was lost while the append was being committed (W4).
    #[error("the outcome of command {command} is unknown: {source}")]
    UnknownOutcome {
        /// The command. Sent again with this id, it is applied once in either case.
        command: CommandId,
        /// The error that interrupted the answer.
        source: Source,
    },
    /// The request or the configuration can't work as it is.
    #[error(transparent)]
    Invalid(Box<Invalid>),
    /// Something in the store can't be decoded or contradicts itself.
    #[error(transparent)]
    Corrupt(Box<Corrupt>),
    /// Application code panicked: a bug.
    #[error(transparent)]
    Panicked(Box<Panicked>),
}

impl Error {
    /// The stable code, which is also the name of a page under `docs/errors/`.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Rejected(_) => Code::REJECTED,
            Self::Conflict(conflict) => conflict.code(),
            Self::Unavailable(unavailable) => unavailable.code(),
            Self::UnknownOutcome { .. } => Code::UNKNOWN_OUTCOME,
            Self::Invalid(invalid) => invalid.code(),
            Self::Corrupt(corrupt) => corrupt.code(),
            Self::Panicked(panicked) => panicked.code(),
        }
    }

    /// The next step, and the actor that takes it.
    #[must_use]
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Invalid(invalid) if invalid.code() == Code::UNSTORABLE => NextStep::FixProgram,
            Self::Rejected(_) | Self::Invalid(_) => NextStep::FixRequest,
            Self::Conflict(_) => NextStep::DecideAgain,
            Self::Unavailable(_) => NextStep::Retry,
            Self::UnknownOutcome { .. } => NextStep::RetrySameId,
            Self::Corrupt(_) => NextStep::AskOperator,
            Self::Panicked(_) => NextStep::FixProgram,
        }
    }

    /// The rejection, if the domain refused the command.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        if let Self::Rejected(rejection) = self { Some(rejection) } else { None }
    }

    /// The conflict, with the expected state and the state found.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        if let Self::Conflict(conflict) = self { Some(conflict) } else { None }
    }

    /// Returns true if an invariant or a decision refused the command.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// Returns true if there was a conflict with another writer.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Returns true if the store could not be reached and nothing was changed.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Returns true if it is not known whether the append was committed.
    #[must_use]
    pub fn is_unknown_outcome(&self) -> bool {
        matches!(self, Self::UnknownOutcome { .. })
    }

    /// Returns true if the request or the configuration is at fault.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }

    /// Returns true if stored data can't be understood.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt(_))
    }

    /// Returns true if application code panicked.
    #[must_use]
    pub fn is_panicked(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }

    /// Returns true if the same call, with the same command id, can succeed unchanged.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Unavailable(_) | Self::UnknownOutcome { .. })
    }
}

macro_rules! boxed {
    ($($part:ident => $variant:ident),*) => {
        $(impl From<$part> for Error {
            fn from(part: $part) -> Self {
                Self::$variant(Box::new(part))
            }
        })*
    };
}

boxed!(
    Rejection => Rejected,
    Conflict => Conflict,
    Unavailable => Unavailable,
    Invalid => Invalid,
    Corrupt => Corrupt,
    Panicked => Panicked
);

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Invalid::from(malformed).into()
    }
}
