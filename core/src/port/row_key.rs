//! The rule for keys of rows: every store accepts what the strictest one accepts.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_128;

use crate::error::Invalid;

/// The longest key of a row, in bytes of UTF-8. It keeps every key well inside what the stores' indexes
/// can hold.
pub const KEY_LIMIT: usize = 2_048;

/// Refuses a key that no store can hold: PostgreSQL's text has no NUL, and its indexes hold no long keys.
///
/// # Errors
/// The key has NUL, or more than [`KEY_LIMIT`] bytes.
pub fn check_key(key: &str) -> Result<(), Invalid> {
    if key.contains('\0') {
        return Err(Invalid::malformed("key", key, "it may not contain NUL"));
    }
    if key.len() > KEY_LIMIT {
        return Err(Invalid::too_large("the key of a row", key.len(), KEY_LIMIT));
    }
    Ok(())
}

/// The key under which a key is parked: itself, or a stand-in for a key that no store can hold. The stand-in
/// has the beginning of the key, its length and its hash. Its form never changes, because it is stored.
///
/// ```
/// use highwater_core::port::parked_as;
///
/// assert_eq!(parked_as("alice"), "alice");
/// assert!(parked_as("a\0b").starts_with("a\u{fffd}b… (3 bytes, "));
/// ```
#[must_use]
pub fn parked_as(key: &str) -> Cow<'_, str> {
    /// The number of characters that a stand-in has of its key.
    const START: usize = 64;
    if check_key(key).is_ok() {
        return Cow::Borrowed(key);
    }
    let start = key.chars().take(START).map(|c| if c == '\0' { '\u{fffd}' } else { c });
    let bytes = key.len();
    let hash = xxh3_128(key.as_bytes());
    Cow::Owned(format!("{}… ({bytes} bytes, {hash:032x})", start.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4_a_key_that_no_store_can_hold_has_a_stand_in_that_every_store_can() {
        let longest = "x".repeat(KEY_LIMIT);
        for key in ["", "alice", "ä", longest.as_str()] {
            assert_eq!(parked_as(key), key);
        }
        let long = [longest.clone() + "1", longest + "2", "a\0".to_owned(), "\0".repeat(9_000)];
        for (index, key) in long.iter().enumerate() {
            let stand_in = parked_as(key);
            check_key(&stand_in).unwrap();
            assert_eq!(parked_as(&stand_in), stand_in);
            assert!(long[..index].iter().all(|other| parked_as(other) != stand_in));
        }
    }
}
