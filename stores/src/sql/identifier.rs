//! Names that stand in the text of statements.

use highwater_core::{Result, error::Invalid};

/// The longest name, in bytes.
const MAX_LENGTH: usize = 40;

/// Checks that a name can stand in a statement: `a-z`, `0-9` and `_`, beginning with a letter.
pub(crate) fn check_identifier(what: &str, name: &str) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins_well || name.len() > MAX_LENGTH || !name.chars().all(is_allowed) {
        let right = "use a-z, 0-9 and '_', beginning with a letter, at most 40";
        return Err(Invalid::malformed(what, name, right).into());
    }
    Ok(())
}
