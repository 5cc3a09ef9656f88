//! JSON that is read back as it was written.
//!
//! JSON has no form for some values of Rust: `serde_json` writes NaN, infinity and `Some(None)` as `null`, which
//! is read as another value or not at all. Here they are refused where they are written. Every error has the path
//! of the field that it is about.

mod exact;
#[cfg(test)]
mod tests;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Deserializer, Error};

use self::exact::{Exact, Inexact, Trail};

/// The longest path that is shown, in characters: that of a value which is nested too deeply has hundreds.
const PATH_LIMIT: usize = 100;

/// Writes a value that will be read back.
///
/// # Errors
/// The value, or a part of it, has no form in JSON: NaN, infinity, `Some(None)`, a map whose keys are no strings.
pub fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    write_with(out, value, Inexact::Refuse)
}

/// Writes a value that is only compared, never read: values without a form in JSON get one of their own.
///
/// # Errors
/// The value can't be serialised, for example a map whose keys are no strings.
pub fn write_to_compare<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    write_with(out, value, Inexact::Mark)
}

/// Reads a value.
///
/// # Errors
/// The text is not JSON, or not that of a `T`.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|error| located::<T>(json).unwrap_or(error))
}

fn write_with<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
    inexact: Inexact,
) -> Result<(), Error> {
    let trail = Trail::new(inexact);
    serde_json::to_writer(out, &Exact::new(value, &trail))
        .map_err(|error| with_path(&trail.path(), error))
}

/// Reads a value that can't be read once more, for an error with its path.
fn located<T: DeserializeOwned>(json: &[u8]) -> Option<Error> {
    let read = serde_path_to_error::deserialize::<_, T>(&mut Deserializer::from_slice(json));
    let error = read.err()?;
    let path = error.path().iter().next().map(|_| error.path().to_string());
    Some(with_path(&path.unwrap_or_default(), error.into_inner()))
}

fn with_path(path: &str, error: Error) -> Error {
    if path.is_empty() {
        return error;
    }
    let path = match path.char_indices().nth(PATH_LIMIT) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path.to_owned(),
    };
    serde::ser::Error::custom(format_args!("field `{path}`: {error}"))
}
