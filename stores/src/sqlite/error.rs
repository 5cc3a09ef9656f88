//! Whose move it is, by SQLite's result codes.

use highwater_core::{
    Code, Error,
    error::{Corrupt, Invalid, Source, Unavailable},
};

use crate::work::WorkError;

/// An error of a read, or of a write that was rolled back.
pub(super) fn classify(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |error| match &error {
        sqlx::Error::PoolClosed => Unavailable::Closed.into(),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Corrupt::value("a row of the store", Source::new(error)).into()
        }
        _ => match primary(&error) {
            Some(BUSY | LOCKED) => Unavailable::Locked { doing, source: Source::new(error) }.into(),
            Some(CORRUPT) => Corrupt::value("the database file", Source::new(error)).into(),
            Some(NOT_A_DATABASE) => foreign(error),
            Some(ERROR | READ_ONLY | CANNOT_OPEN) => {
                let message = format!("the database file can't be used ({doing})");
                Invalid::new(Code::BAD_DATABASE, message).caused_by(Source::new(error)).into()
            }
            _ => Unavailable::unreachable(doing, Source::new(error)).into(),
        },
    }
}

/// An error of opening the file.
pub(super) fn door(error: sqlx::Error) -> Error {
    match primary(&error) {
        Some(CANNOT_OPEN | PERMISSION | READ_ONLY) => {
            let message = "the database file can't be opened: does its folder exist, and may this \
                           user write there?";
            Invalid::new(Code::BAD_DATABASE, message).caused_by(Source::new(error)).into()
        }
        _ => classify("opening the database")(error),
    }
}

/// An error of an application's own work.
pub(super) fn work(error: WorkError) -> Error {
    let refused =
        |error: &sqlx::Error| matches!(primary(error), Some(TOO_BIG | CONSTRAINT | MISMATCH));
    error.settle(refused, classify("doing the application's own work"))
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
