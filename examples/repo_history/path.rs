//! Paths as git has them, and the stream keys that stand for them.

use std::fmt::{self, Write as _};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// A path inside the repository, written so that it can be the key of a stream.
///
/// To git a path is bytes without NUL, and none of Unicode. A key is text. So `%` and every byte that
/// is not UTF-8 is written as `%` and two hexadecimal digits, and all else stands for itself: the key
/// of `src/lib.rs` is `src/lib.rs`. No two paths have the same key, and [`Path::to_git`] gives the
/// bytes back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn from_git(bytes: &[u8]) -> Self {
        let mut key = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            key.push_str(&chunk.valid().replace('%', "%25"));
            key.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
        }
        Self(key)
    }

    /// The path that a key stands for.
    pub(crate) fn of_key(key: &str) -> Self {
        Self(key.to_owned())
    }

    pub(crate) fn to_git(&self) -> Vec<u8> {
        percent_decode_str(&self.0).collect()
    }

    pub(crate) fn key(&self) -> &str {
        &self.0
    }
}

/// The key.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text of strangers for a terminal: on one line, and without what could steer it.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '\'' | '"' | '\\' => f.write_char(char),
            char => write!(f, "{}", char.escape_debug()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_back_from_its_key() {
        let hostile: [&[u8]; 8] = [
            b"src/lib.rs",
            b"100%",
            b"%41",
            b"-rf",
            b"new\nline \"quoted\"\ttab",
            b"\xff\xfe/latin-\xe9",
            "\u{fc}ml\u{e4}ut \u{1f980}".as_bytes(),
            b"cut \xf0\x9f",
        ];
        for path in hostile {
            assert_eq!(Path::from_git(path).to_git(), path, "{path:?}");
        }
    }

    #[test]
    fn paths_that_look_alike_have_different_keys() {
        assert_ne!(Path::from_git(b"A"), Path::from_git(b"%41"));
        assert_ne!(Path::from_git(b"\xff"), Path::from_git(b"%FF"));
        assert_ne!(Path::from_git("\u{ff}".as_bytes()), Path::from_git(b"\xff"));
    }

    #[test]
    fn what_could_steer_a_terminal_is_shown_as_an_escape() {
        let shown = Shown("it's \x1b[2J\n\u{202e}\u{e4}").to_string();
        assert_eq!(shown, "it's \\u{1b}[2J\\n\\u{202e}\u{e4}");
    }

    #[test]
    fn an_ordinary_path_is_its_own_key() {
        assert_eq!(Path::from_git(b"docs/a b-c.md").key(), "docs/a b-c.md");
    }
}
