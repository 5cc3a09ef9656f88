//! The encoding of cursors: small numbers and names as bytes.

use bytes::Bytes;
use highwater_core::{
    Result,
    error::{Corrupt, Source},
};

/// Writes a cursor. The first byte is the number of its format, so that later formats can be distinguished.
pub(super) struct CursorWriter(Vec<u8>);

impl CursorWriter {
    pub(super) fn new(format: u8) -> Self {
        Self(vec![format])
    }

    /// Writes a number in LEB128.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Writes a text after its length.
    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.into()
    }
}

/// Reads a cursor. Every method returns `None` if the bytes are no cursor.
pub(super) struct CursorReader<'a>(&'a [u8]);

impl<'a> CursorReader<'a> {
    /// Reads the format byte; `None` if it names another format.
    pub(super) fn new(format: u8, bytes: &'a [u8]) -> Option<Self> {
        bytes.split_first().filter(|(first, _)| **first == format).map(|(_, rest)| Self(rest))
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn is_at_the_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the error for a cursor that this version did not write.
pub(super) fn malformed<T>(what: String) -> Result<T> {
    Err(Corrupt::value(what, Source::new("it is not of this version of Highwater")).into())
}
