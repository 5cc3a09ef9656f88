//! The version of the schema, which is the number of migrations that have been applied.

use highwater_core::{Code, Result, error::Invalid};

/// Returns the version that was read from the database. Refuses one of a newer Highwater.
pub(crate) fn check_version(version: i64, newest: usize) -> Result<usize> {
    match usize::try_from(version) {
        Ok(version) if version <= newest => Ok(version),
        _ => {
            let message = format!(
                "the database is at version {version} of Highwater's schema; this program knows \
                 versions up to {newest}: use a newer Highwater"
            );
            Err(Invalid::new(Code::NEWER_DATABASE, message).into())
        }
    }
}
