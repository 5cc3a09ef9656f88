//! Errors of the database, classified by SQLSTATE.

use highwater_core::{
    Code, CommandId, Error,
    domain::ViewName,
    error::{Corrupt, Invalid, Source, Unavailable},
};
use sqlx::postgres::PgConnectOptions;

use super::{server_refusal::ServerRefusal, tls::TlsRefusal};
use crate::sql::hook::HookError;

pub(super) const RUNNING_HOOK: &str = "running a transaction hook";

/// Classifies an error of a read, or of a write that is one statement and can be repeated.
pub(super) fn classify(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |error| match &error {
        sqlx::Error::PoolClosed => Unavailable::Closed.into(),
        sqlx::Error::Io(_) => unreachable(doing, error),
        sqlx::Error::Tls(_) => not_encrypted(error),
        sqlx::Error::RowNotFound => {
            let message = format!("a row that must exist is missing in the database ({doing})");
            Invalid::new(Code::BAD_DATABASE, message).into()
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Corrupt::value("a row of the store", Source::new(error)).into()
        }
        _ => match state(&error).as_deref() {
            Some(state) if is_misconfigured(state) => unusable(doing, &Source::new(error), state),
            Some(NO_SUCH_USER) if message(&error).ends_with("no encryption") => {
                let message =
                    format!("the server refused the user: {}; {NEEDS_TLS}", message(&error));
                Invalid::configuration(message).caused_by(Source::new(error)).into()
            }
            Some(WRONG_PASSWORD | NO_SUCH_USER) => {
                let message = format!("the server refused the user: {}", message(&error));
                Invalid::new(Code::BAD_CREDENTIALS, message).caused_by(Source::new(error)).into()
            }
            Some(LOCK_NOT_AVAILABLE) => {
                Unavailable::Locked { doing, source: Source::new(error) }.into()
            }
            _ => Unavailable::unreachable(doing, Source::new(error)).into(),
        },
    }
}

/// Classifies an error of the first connection: most of them need an operator.
pub(super) fn classify_connect(
    options: &PgConnectOptions,
) -> impl FnOnce(sqlx::Error) -> Error + '_ {
    move |error| {
        let (code, message) = match state(&error).as_deref() {
            Some("42501") => {
                let refused = "may not create or use Highwater's schema";
                let user = options.get_username();
                let reason = message(&error);
                (Code::BAD_DATABASE, format!("the user {user:?} {refused}: {reason}"))
            }
            None if matches!(error, sqlx::Error::Tls(_)) => return not_encrypted(error),
            None if matches!(error, sqlx::Error::Configuration(_)) => {
                (Code::BAD_CONFIGURATION, format!("this can't be used to connect: {error}"))
            }
            _ => return unreachable_at(options, error),
        };
        Invalid::new(code, message).caused_by(Source::new(error)).into()
    }
}

/// Classifies an error of TLS, which stays until an operator changes something.
fn not_encrypted(error: sqlx::Error) -> Error {
    let invalid = match TlsRefusal::in_error(&error) {
        Some(refusal) => Invalid::new(refusal.code(), format!("no TLS to the server: {refusal}")),
        None => Invalid::configuration(format!("no TLS to the server: {error}")),
    };
    invalid.caused_by(Source::new(error)).into()
}

/// A server that was refused says so itself.
fn unreachable(doing: &'static str, error: sqlx::Error) -> Error {
    let source = match ServerRefusal::in_error(&error) {
        Some(refusal) => Source::new(refusal),
        None => Source::new(error),
    };
    Unavailable::unreachable(doing, source).into()
}

/// Adds the address of the server.
fn unreachable_at(options: &PgConnectOptions, error: sqlx::Error) -> Error {
    match options.get_socket() {
        _ if error.as_database_error().is_some() => classify("connecting")(error),
        Some(socket) => no_connection(socket.display(), error),
        None => no_connection(format_args!("{}:{}", options.get_host(), options.get_port()), error),
    }
}

fn no_connection(place: impl std::fmt::Display, source: sqlx::Error) -> Error {
    let place = place.to_string();
    let source = match ServerRefusal::in_error(&source) {
        Some(refusal) => Source::new(ConnectError { place, source: refusal }),
        None => Source::new(ConnectError { place, source }),
    };
    Unavailable::unreachable("connecting", source).into()
}

/// An error of the driver with the address of the server, which the driver does not name.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {source}")]
struct ConnectError<E: std::error::Error> {
    place: String,
    source: E,
}

/// Classifies an error of a migration.
pub(super) fn classify_migration(error: sqlx::Error) -> Error {
    match state(&error).as_deref() {
        Some(
            DUPLICATE_TABLE | DUPLICATE_FUNCTION | UNDEFINED_COLUMN | OTHER_TYPE | MALFORMED
            | NO_TEXT,
        ) => {
            let message =
                format!("the schema has something that is not Highwater's: {}", message(&error));
            Invalid::new(Code::FOREIGN_DATABASE, message).caused_by(Source::new(error)).into()
        }
        _ => classify("migrating")(error),
    }
}

/// Classifies an error of an append. Only errors that can't occur at the end of a transaction mean that
/// nothing was stored; after all others the outcome is unknown.
pub(super) fn classify_append(command: CommandId, error: &Source, state: Option<&str>) -> Error {
    match state {
        Some(state) if is_misconfigured(state) => unusable("appending", error, state),
        Some(state) if is_refused(state) => {
            let message = format!("the database refused the append: {error} (SQLSTATE {state})");
            Invalid::request(message).caused_by(error.clone()).into()
        }
        Some(LOCK_NOT_AVAILABLE) => {
            Unavailable::Locked { doing: "appending", source: error.clone() }.into()
        }
        Some(state) if is_rolled_back(state) => {
            Unavailable::unreachable("appending", error.clone()).into()
        }
        _ => Error::UnknownOutcome { command, source: error.clone() },
    }
}

/// Classifies an error of a transaction hook.
pub(super) fn classify_hook(error: HookError) -> Error {
    let refused = |error: &sqlx::Error| state(error).is_some_and(|state| is_refused(&state));
    error.into_error(refused, classify(RUNNING_HOOK))
}

/// Classifies an error at the end of an append with a transaction hook. What the server refuses there is a
/// constraint of the hook's rows that is checked last, and nothing was stored.
pub(super) fn classify_hook_commit(command: CommandId, error: sqlx::Error) -> Error {
    match state(&error).as_deref() {
        Some(state) if is_misconfigured(state) || is_refused(state) || is_rolled_back(state) => {
            classify_hook(error.into())
        }
        _ => Error::UnknownOutcome { command, source: Source::new(error) },
    }
}

/// Classifies an error of writing a view: what the database refuses it would refuse again.
pub(super) fn classify_view<'a>(
    doing: &'static str,
    view: &'a ViewName,
) -> impl FnOnce(sqlx::Error) -> Error + 'a {
    move |error| match state(&error).as_deref() {
        Some(state) if is_refused(state) => {
            let reason = message(&error);
            let message = format!("view {view} was refused ({doing}): {reason} (SQLSTATE {state})");
            Invalid::request(message).caused_by(Source::new(error)).into()
        }
        _ => classify(doing)(error),
    }
}

fn unusable(doing: &str, error: &Source, state: &str) -> Error {
    let message = format!("the database can't be used ({doing}): {error} (SQLSTATE {state})");
    Invalid::new(Code::BAD_DATABASE, message).caused_by(error.clone()).into()
}

/// Returns true if a table is missing.
pub(super) fn is_missing_table(error: &sqlx::Error) -> bool {
    state(error).as_deref() == Some("42P01")
}

/// Returns true if the row that another one references is missing.
pub(super) fn is_missing_reference(error: &sqlx::Error) -> bool {
    state(error).as_deref() == Some("23503")
}

/// Returns true if a key exists already.
pub(super) fn is_duplicate_key(error: &sqlx::Error) -> bool {
    state(error).as_deref() == Some("23505")
}

/// Returns true if the transaction was rolled back in favour of another.
pub(super) fn is_deadlock(error: &sqlx::Error) -> bool {
    state(error).as_deref() == Some(DEADLOCK)
}

/// Returns true if the statement failed before anything could be committed.
pub(super) fn stored_nothing(state: Option<&str>) -> bool {
    state.is_some_and(|state| is_misconfigured(state) || is_refused(state))
}

/// Returns true if the connection can't be used after the error: it is lost, or its server is read-only
/// and another one may be the primary now.
pub(super) fn is_connection_lost(state: Option<&str>) -> bool {
    state.is_none_or(|state| state.starts_with("57") || state == READ_ONLY)
}

/// Returns true if the server can't be written to. Nothing was stored.
pub(super) fn is_read_only(state: Option<&str>) -> bool {
    state == Some(READ_ONLY)
}

pub(super) fn state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// Returns the message of the server, without the prefix of the driver.
fn message(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

const NEEDS_TLS: &str = "if it takes this user over TLS only, set sslmode=verify-full in the URL of the store, and build the \
     program with the feature tls-rustls or tls-native of highwater";
const NO_SUCH_USER: &str = "28000";
const READ_ONLY: &str = "25006";
const WRONG_PASSWORD: &str = "28P01";
const SERIALIZATION: &str = "40001";
const DEADLOCK: &str = "40P01";
const DUPLICATE_FUNCTION: &str = "42723";
const DUPLICATE_TABLE: &str = "42P07";
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// A value is not a number, or not JSON.
const MALFORMED: &str = "22P02";
const NO_TEXT: &str = "22021";
const OTHER_TYPE: &str = "42804";
const UNDEFINED_COLUMN: &str = "42703";

/// Returns true for syntax errors, missing objects (including databases and schemas) and missing
/// privileges.
fn is_misconfigured(state: &str) -> bool {
    state.starts_with("42") || state == "3F000" || state == "3D000"
}

/// Returns true for data exceptions, violated constraints, exceeded program limits, duplicate keys, and
/// exceptions that a trigger raises.
fn is_refused(state: &str) -> bool {
    let class = ["21", "22", "23", "2B", "54", "P0"];
    class.iter().any(|class| state.starts_with(class))
}

/// Returns true for errors that pass, and after which the server has rolled the transaction back: it was
/// read-only, a deadlock, a full disk, or not enough memory.
fn is_rolled_back(state: &str) -> bool {
    matches!(state, READ_ONLY | DEADLOCK | SERIALIZATION) || state.starts_with("53")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w4_what_passes_and_was_rolled_back_is_known_to_have_stored_nothing() {
        let source = Source::new("no room");
        let command = CommandId::derive(["append"]);
        let classified = |state| classify_append(command, &source, state);
        // A full disk, no memory, a deadlock, a read-only server.
        for state in ["53100", "53200", "40P01", "40001", "25006"] {
            assert!(classified(Some(state)).is_unavailable(), "{state}");
        }
        // A failed flush, a lost connection, a shutdown.
        for state in [Some("58030"), Some("08006"), Some("57P01"), None] {
            assert!(classified(state).is_unknown_outcome(), "{state:?}");
        }
    }
}
