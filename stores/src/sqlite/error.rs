//! Errors of the database, classified by SQLite's result codes.

use std::path::Path;

use highwater_core::{
    Code, Error,
    domain::ViewName,
    error::{Corrupt, Invalid, Source, Unavailable},
};

use crate::sql::hook::HookError;

pub(super) const RUNNING_HOOK: &str = "running a transaction hook";

/// Classifies an error of a read, or of a write that was rolled back.
pub(super) fn classify(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |error| match &error {
        sqlx::Error::PoolClosed => Unavailable::Closed.into(),
        sqlx::Error::RowNotFound => {
            let message = format!("a row that must exist is missing in the database ({doing})");
            Invalid::new(Code::BAD_DATABASE, message).into()
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Corrupt::value("a row of the store", Source::new(error)).into()
        }
        _ => match primary(&error) {
            Some(BUSY | LOCKED) => Unavailable::Locked { doing, source: Source::new(error) }.into(),
            Some(CORRUPT) => Corrupt::value("the database file", Source::new(error)).into(),
            // Positions and versions come from the log itself: only a foreign writer can have used them.
            Some(CONSTRAINT) => Corrupt::Log(error.to_string()).into(),
            Some(NOT_A_DATABASE) => not_a_database(error),
            Some(TOO_BIG) => {
                let message = format!("a value exceeds the limit of SQLite ({doing})");
                Invalid::new(Code::TOO_LARGE, message).caused_by(Source::new(error)).into()
            }
            Some(ERROR | PERMISSION | READ_ONLY | CANNOT_OPEN) => {
                let message = format!("the database can't be used ({doing}): {}", message(&error));
                Invalid::new(Code::BAD_DATABASE, message).caused_by(Source::new(error)).into()
            }
            _ => Unavailable::unreachable(doing, Source::new(error)).into(),
        },
    }
}

/// Classifies an error of opening the file.
pub(super) fn classify_open(file: &Path) -> impl FnOnce(sqlx::Error) -> Error + '_ {
    move |error| match primary(&error) {
        Some(CANNOT_OPEN | PERMISSION | READ_ONLY) => {
            let (file, why) = (file.display(), why_it_cannot_be_opened(file));
            let message = format!("the database file {file} can't be opened: {why}");
            Invalid::new(Code::BAD_DATABASE, message).caused_by(Source::new(error)).into()
        }
        _ => classify("opening the database")(error),
    }
}

/// Classifies an error of writing a view: what the database refuses it would refuse again.
pub(super) fn classify_view<'a>(
    doing: &'static str,
    view: &'a ViewName,
) -> impl FnOnce(sqlx::Error) -> Error + 'a {
    move |error| match primary(&error) {
        Some(CONSTRAINT | MISMATCH) => {
            let message = format!("view {view} was refused ({doing}): {}", message(&error));
            Invalid::request(message).caused_by(Source::new(error)).into()
        }
        _ => classify(doing)(error),
    }
}

/// Returns true if a statement can't be executed as it is: in general, because a table is missing.
pub(super) fn is_missing_table(error: &sqlx::Error) -> bool {
    primary(error) == Some(ERROR)
}

/// Classifies an error of a transaction hook.
pub(super) fn classify_hook(error: HookError) -> Error {
    let refused =
        |error: &sqlx::Error| matches!(primary(error), Some(TOO_BIG | CONSTRAINT | MISMATCH));
    error.into_error(refused, classify(RUNNING_HOOK))
}

/// Guesses the reason, for the message of an error.
fn why_it_cannot_be_opened(file: &Path) -> String {
    match file.parent() {
        _ if file.is_dir() => "it is a folder".to_owned(),
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            format!("there is no folder {}", folder.display())
        }
        _ if !file.exists() => "it doesn't exist and can't be created".to_owned(),
        _ => "this user must be allowed to write to it and to its folder".to_owned(),
    }
}

/// Classifies an error of a migration, or of reading the version: `what` has another form than expected.
pub(super) fn classify_migration(what: &str) -> impl FnOnce(sqlx::Error) -> Error + '_ {
    move |error| {
        let is_undecodable = matches!(error, sqlx::Error::ColumnDecode { .. });
        if !is_undecodable && primary(&error) != Some(ERROR) {
            return classify("migrating")(error);
        }
        let message = format!("the file has {what} that is not Highwater's: {}", message(&error));
        Invalid::new(Code::FOREIGN_DATABASE, message).caused_by(Source::new(error)).into()
    }
}

fn not_a_database(error: sqlx::Error) -> Error {
    let message = "the file exists, but it is not a SQLite database";
    Invalid::new(Code::FOREIGN_DATABASE, message).caused_by(Source::new(error)).into()
}

/// Returns true if a statement violated a constraint, and so stored nothing.
pub(super) fn is_constraint(error: &sqlx::Error) -> bool {
    primary(error) == Some(CONSTRAINT)
}

/// Returns true if a value would have exceeded the limit of SQLite.
pub(super) fn is_too_big(error: &sqlx::Error) -> bool {
    primary(error) == Some(TOO_BIG)
}

/// Returns true if a transaction, or a statement without one, may be stored although it failed: its last step
/// is the flush, and what was written before it may exist after a crash. If the disk is full, the page that
/// commits was not written.
pub(super) fn may_be_stored(error: &sqlx::Error) -> bool {
    !matches!(
        primary(error),
        Some(
            ERROR
                | PERMISSION
                | BUSY
                | LOCKED
                | READ_ONLY
                | CORRUPT
                | FULL
                | CANNOT_OPEN
                | TOO_BIG
                | CONSTRAINT
                | NOT_A_DATABASE
        )
    )
}

const ERROR: i32 = 1;
const PERMISSION: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const TOO_BIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const NOT_A_DATABASE: i32 = 26;

/// Returns the primary result code: the low byte of the extended one.
fn primary(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Returns the message of SQLite, without the prefix of the driver.
fn message(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Returns true if another connection has the file's lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary(error), Some(BUSY | LOCKED))
}

/// Returns true if a savepoint does not exist any more.
pub(super) fn is_missing_savepoint(error: &sqlx::Error) -> bool {
    primary(error) == Some(ERROR)
}
