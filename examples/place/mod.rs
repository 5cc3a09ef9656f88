//! The files of the examples.

use std::{env, path::PathBuf};

/// Returns the URL of a SQLite file that is kept between runs.
pub(crate) fn sqlite(name: &str) -> String {
    format!("sqlite:{}", file(name).display())
}

/// Returns a file in the folder that `HIGHWATER_EXAMPLE_DIR` names, or in the temporary folder.
pub(crate) fn file(name: &str) -> PathBuf {
    env::var_os("HIGHWATER_EXAMPLE_DIR").map_or_else(env::temp_dir, PathBuf::from).join(name)
}
