//! Whose move it is, by SQLSTATE.

use highwater_core::{
    Code, CommandId, Error,
    domain::ViewName,
    error::{Corrupt, Invalid, Source, Unavailable},
};
use sqlx::postgres::PgConnectOptions;

use crate::work::HookError;

/// An error of a read, or of a write that is one statement and can simply be made again.
pub(super) fn classify(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |error| match &error {
        sqlx::Error::PoolClosed => Unavailable::Closed.into(),
        sqlx::Error::RowNotFound => {
            let message = format!("the database lacks a row that must be there ({doing})");
            Invalid::new(Code::BAD_DATABASE, message).into()
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Corrupt::value("a row of the store", Source::new(error)).into()
        }
        _ => match state(&error).as_deref() {
            Some(state) if is_misconfigured(state) => unusable(doing, &Source::new(error), state),
            Some(WRONG_PASSWORD | NO_SUCH_USER) => {
                let message = format!("the server refused the user: {}", words(&error));
                Invalid::new(Code::BAD_CREDENTIALS, message).caused_by(Source::new(error)).into()
            }
            Some(LOCK_NOT_AVAILABLE) => {
                Unavailable::Locked { doing, source: Source::new(error) }.into()
            }
            _ => Unavailable::unreachable(doing, Source::new(error)).into(),
        },
    }
}

/// An error of the first connection: most of them are somebody's to correct.
pub(super) fn door(options: &PgConnectOptions) -> impl FnOnce(sqlx::Error) -> Error + '_ {
    move |error| {
        let (code, message) = match state(&error).as_deref() {
            Some("42501") => {
                let refused = "may not create or use Highwater's schema";
                let (user, words) = (options.get_username(), words(&error));
                (Code::BAD_DATABASE, format!("the user {user:?} {refused}: {words}"))
            }
            None if matches!(error, sqlx::Error::Configuration(_) | sqlx::Error::Tls(_)) => {
                (Code::BAD_CONFIGURATION, format!("this can't be used to connect: {error}"))
            }
            _ => return unreachable(options, error),
        };
        Invalid::new(code, message).caused_by(Source::new(error)).into()
    }
}

/// Says where the server was looked for.
fn unreachable(options: &PgConnectOptions, error: sqlx::Error) -> Error {
    match options.get_socket() {
        _ if error.as_database_error().is_some() => classify("connecting")(error),
        Some(socket) => refused(socket.display(), error),
        None => refused(format_args!("{}:{}", options.get_host(), options.get_port()), error),
    }
}

fn refused(place: impl std::fmt::Display, source: sqlx::Error) -> Error {
    let at = At { place: place.to_string(), source };
    Unavailable::unreachable("connecting", Source::new(at)).into()
}

/// The driver's error does not say which server it was.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {source}")]
struct At {
    place: String,
    source: sqlx::Error,
}

/// An error of running a migration.
pub(super) fn migrating(error: sqlx::Error) -> Error {
    match state(&error).as_deref() {
        Some(
            DUPLICATE_TABLE | DUPLICATE_FUNCTION | UNDEFINED_COLUMN | OTHER_TYPE | MALFORMED
            | NO_TEXT,
        ) => {
            let message =
                format!("the schema has something that is not Highwater's: {}", words(&error));
            Invalid::new(Code::FOREIGN_DATABASE, message).caused_by(Source::new(error)).into()
        }
        _ => classify("migrating")(error),
    }
}

/// What an error of an append means. Only errors that can't come from the end of a transaction say
/// that nothing was stored; for all others the outcome is unknown.
pub(super) fn append(command: CommandId, error: &Source, state: Option<&str>) -> Error {
    match state {
        Some(state) if is_misconfigured(state) => unusable("appending", error, state),
        Some(state) if is_refused(state) => {
            let message = format!("the database refused the append: {error} (SQLSTATE {state})");
            Invalid::request(message).caused_by(error.clone()).into()
        }
        Some(LOCK_NOT_AVAILABLE) => {
            Unavailable::Locked { doing: "appending", source: error.clone() }.into()
        }
        Some(READ_ONLY | DEADLOCK) => Unavailable::unreachable("appending", error.clone()).into(),
        _ => Error::UnknownOutcome { command, source: error.clone() },
    }
}

/// An error of an application's own work.
pub(super) fn work(error: HookError) -> Error {
    let refused = |error: &sqlx::Error| state(error).is_some_and(|state| is_refused(&state));
    error.settle(refused, classify("doing the application's own work"))
}

/// An error of writing a view: what the database refuses it would refuse again.
pub(super) fn refusing<'a>(
    doing: &'static str,
    view: &'a ViewName,
) -> impl FnOnce(sqlx::Error) -> Error + 'a {
    move |error| match state(&error).as_deref() {
        Some(state) if is_refused(state) => {
            let words = words(&error);
            let message = format!("view {view} was refused ({doing}): {words} (SQLSTATE {state})");
            Invalid::request(message).caused_by(Source::new(error)).into()
        }
        _ => classify(doing)(error),
    }
}

fn unusable(doing: &str, error: &Source, state: &str) -> Error {
    let message = format!("the database can't be used ({doing}): {error} (SQLSTATE {state})");
    Invalid::new(Code::BAD_DATABASE, message).caused_by(error.clone()).into()
}

/// Whether a table isn't there.
pub(super) fn is_without_table(error: &sqlx::Error) -> bool {
    state(error).as_deref() == Some("42P01")
}

/// Whether what a row refers to isn't there.
pub(super) fn is_orphan(error: &sqlx::Error) -> bool {
    state(error).as_deref() == Some("23503")
}

/// Whether a statement failed because a key is taken.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    state(error).as_deref() == Some("23505")
}

/// Whether the statement failed before anything could be committed.
pub(super) fn stored_nothing(state: Option<&str>) -> bool {
    state.is_some_and(|state| is_misconfigured(state) || is_refused(state))
}

/// Whether the connection is of no further use after an error: it is lost, or its server is one that
/// only reads, and another may have taken its place.
pub(super) fn ends_the_connection(state: Option<&str>) -> bool {
    state.is_none_or(|state| state.starts_with("57") || state == READ_ONLY)
}

pub(super) fn state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// What the server says, without what the driver puts before it.
fn words(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

const NO_SUCH_USER: &str = "28000";
const READ_ONLY: &str = "25006";
const WRONG_PASSWORD: &str = "28P01";
const DEADLOCK: &str = "40P01";
const DUPLICATE_FUNCTION: &str = "42723";
const DUPLICATE_TABLE: &str = "42P07";
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// What should be a number, or JSON, is none.
const MALFORMED: &str = "22P02";
const NO_TEXT: &str = "22021";
const OTHER_TYPE: &str = "42804";
const UNDEFINED_COLUMN: &str = "42703";

/// Syntax errors, missing objects (databases and schemas, too) and missing privileges.
fn is_misconfigured(state: &str) -> bool {
    state.starts_with("42") || state == "3F000" || state == "3D000"
}

/// Data exceptions, violated constraints and exceeded limits of the program kind; and the same key
/// twice.
fn is_refused(state: &str) -> bool {
    let class = ["21", "22", "23", "54"];
    class.iter().any(|class| state.starts_with(class))
}
