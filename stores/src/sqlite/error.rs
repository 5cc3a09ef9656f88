//! Whose move it is, by SQLite's result codes.

use std::path::Path;

use highwater_core::{
    Code, Error,
    domain::ViewName,
    error::{Corrupt, Invalid, Source, Unavailable},
};

use crate::work::HookError;

/// An error of a read, or of a write that was rolled back.
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
        _ => match primary(&error) {
            Some(BUSY | LOCKED) => Unavailable::Locked { doing, source: Source::new(error) }.into(),
            Some(CORRUPT) => Corrupt::value("the database file", Source::new(error)).into(),
            // Positions and versions come from the log itself: only somebody else can have taken them.
            Some(CONSTRAINT) => Corrupt::Log(error.to_string()).into(),
            Some(NOT_A_DATABASE) => foreign(error),
            Some(TOO_BIG) => {
                let message = format!("a value is larger than SQLite takes ({doing})");
                Invalid::new(Code::TOO_LARGE, message).caused_by(Source::new(error)).into()
            }
            Some(ERROR | PERMISSION | READ_ONLY | CANNOT_OPEN) => {
                let message = format!("the database can't be used ({doing}): {}", words(&error));
                Invalid::new(Code::BAD_DATABASE, message).caused_by(Source::new(error)).into()
            }
            _ => Unavailable::unreachable(doing, Source::new(error)).into(),
        },
    }
}

/// An error of opening the file.
pub(super) fn door(file: &Path) -> impl FnOnce(sqlx::Error) -> Error + '_ {
    move |error| match primary(&error) {
        Some(CANNOT_OPEN | PERMISSION | READ_ONLY) => {
            let (file, why) = (file.display(), why_it_cannot_be_opened(file));
            let message = format!("the database file {file} can't be opened: {why}");
            Invalid::new(Code::BAD_DATABASE, message).caused_by(Source::new(error)).into()
        }
        _ => classify("opening the database")(error),
    }
}

/// An error of writing a view: what the database refuses it would refuse again.
pub(super) fn refusing<'a>(
    doing: &'static str,
    view: &'a ViewName,
) -> impl FnOnce(sqlx::Error) -> Error + 'a {
    move |error| match primary(&error) {
        Some(CONSTRAINT | MISMATCH) => {
            let message = format!("view {view} was refused ({doing}): {}", words(&error));
            Invalid::request(message).caused_by(Source::new(error)).into()
        }
        _ => classify(doing)(error),
    }
}

/// Whether a statement can't be executed as it is: as a rule, a table isn't there.
pub(super) fn is_without_table(error: &sqlx::Error) -> bool {
    primary(error) == Some(ERROR)
}

/// An error of an application's own work.
pub(super) fn work(error: HookError) -> Error {
    let refused =
        |error: &sqlx::Error| matches!(primary(error), Some(TOO_BIG | CONSTRAINT | MISMATCH));
    error.settle(refused, classify("doing the application's own work"))
}

/// A guess for the message: the error has been made already.
fn why_it_cannot_be_opened(file: &Path) -> String {
    match file.parent() {
        _ if file.is_dir() => "it is a folder".to_owned(),
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            format!("there is no folder {}", folder.display())
        }
        _ if !file.exists() => "it isn't there and can't be made".to_owned(),
        _ => "this user must be allowed to write to it and to its folder".to_owned(),
    }
}

/// An error of running a migration, or of looking for those that have been run: `what` is in the way.
pub(super) fn migrating(what: &str) -> impl FnOnce(sqlx::Error) -> Error + '_ {
    move |error| {
        let is_no_number = matches!(error, sqlx::Error::ColumnDecode { .. });
        if !is_no_number && primary(&error) != Some(ERROR) {
            return classify("migrating")(error);
        }
        let message = format!("the file has {what} that is not Highwater's: {}", words(&error));
        Invalid::new(Code::FOREIGN_DATABASE, message).caused_by(Source::new(error)).into()
    }
}

fn foreign(error: sqlx::Error) -> Error {
    let message = "the file is there, but it is no SQLite database";
    Invalid::new(Code::FOREIGN_DATABASE, message).caused_by(Source::new(error)).into()
}

/// Whether a statement failed by a constraint, and so stored nothing.
pub(super) fn is_constraint(error: &sqlx::Error) -> bool {
    primary(error) == Some(CONSTRAINT)
}

/// Whether a value would have been larger than SQLite allows.
pub(super) fn is_too_big(error: &sqlx::Error) -> bool {
    primary(error) == Some(TOO_BIG)
}

/// Whether a statement that commits by itself may have done so although it failed: at the end comes
/// the flush, and what was written before it may be there after a crash.
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
                | CANNOT_OPEN
                | TOO_BIG
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
const CANNOT_OPEN: i32 = 14;
const TOO_BIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const NOT_A_DATABASE: i32 = 26;

/// The primary result code: the low byte of the extended one.
fn primary(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// What SQLite says, without what the driver puts before it.
fn words(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Whether somebody else has the file's lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary(error), Some(BUSY | LOCKED))
}

/// Whether a savepoint isn't there any more.
pub(super) fn is_without_savepoint(error: &sqlx::Error) -> bool {
    primary(error) == Some(ERROR)
}
