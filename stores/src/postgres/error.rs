//! Whose move it is, by SQLSTATE.

use highwater_core::{
    Code, CommandId, Error,
    error::{Corrupt, Invalid, Source, Unavailable},
};

use crate::work::WorkError;

/// An error of a read, or of a write that is one statement and can simply be made again.
pub(super) fn classify(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |error| match &error {
        sqlx::Error::PoolClosed => Unavailable::Closed.into(),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Corrupt::value("a row of the store", Source::new(error)).into()
        }
        _ => match state(&error) {
            Some(state) if is_misconfigured(&state) => {
                let message = format!("the database can't be used ({doing}, SQLSTATE {state})");
                Invalid::new(Code::BAD_DATABASE, message).caused_by(Source::new(error)).into()
            }
            _ => Unavailable::unreachable(doing, Source::new(error)).into(),
        },
    }
}

/// An error of the first connection: most of them are somebody's to correct.
pub(super) fn door(error: sqlx::Error) -> Error {
    let (code, message) = match state(&error).as_deref() {
        Some("28P01" | "28000") => (Code::BAD_CREDENTIALS, "the server refused user or password"),
        Some("3D000") => (Code::BAD_DATABASE, "there is no database of this name on the server"),
        Some("42501") => (Code::BAD_DATABASE, "the user may not create or use Highwater's schema"),
        _ => return classify("connecting")(error),
    };
    Invalid::new(code, message).caused_by(Source::new(error)).into()
}

/// What an error of an append means. Only errors that can't come from the end of a transaction say
/// that nothing was stored; for all others the outcome is unknown.
pub(super) fn append(command: CommandId, error: &Source, state: Option<&str>) -> Error {
    match state {
        Some(state) if is_misconfigured(state) => {
            let message = format!("the database can't be used (appending, SQLSTATE {state})");
            Invalid::new(Code::BAD_DATABASE, message).caused_by(error.clone()).into()
        }
        Some(state) if is_refused(state) => {
            let message = format!("the database refused the append (SQLSTATE {state})");
            Invalid::request(message).caused_by(error.clone()).into()
        }
        _ => Error::UnknownOutcome { command, source: error.clone() },
    }
}

/// An error of an application's own work.
pub(super) fn work(error: WorkError) -> Error {
    let refused = |error: &sqlx::Error| state(error).is_some_and(|state| is_refused(&state));
    error.settle(refused, classify("doing the application's own work"))
}

/// Whether the statement failed before anything could be committed.
pub(super) fn stored_nothing(state: Option<&str>) -> bool {
    state.is_some_and(|state| is_misconfigured(state) || is_refused(state))
}

pub(super) fn state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// Syntax errors, missing objects and missing privileges.
fn is_misconfigured(state: &str) -> bool {
    state.starts_with("42") || state == "3F000"
}

/// Data exceptions, violated constraints and exceeded limits of the program kind.
fn is_refused(state: &str) -> bool {
    state.starts_with("22") || state.starts_with("23") || state.starts_with("54")
}
