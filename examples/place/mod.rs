//! Where the examples put their files.

use std::{env, path::PathBuf};

/// The URL of a SQLite file that stays between runs.
pub(crate) fn sqlite(name: &str) -> String {
    format!("sqlite:{}", file(name).display())
}

/// A file in the folder that `HIGHWATER_EXAMPLE_DIR` names, or in the temporary one.
pub(crate) fn file(name: &str) -> PathBuf {
    env::var_os("HIGHWATER_EXAMPLE_DIR").map_or_else(env::temp_dir, PathBuf::from).join(name)
}
