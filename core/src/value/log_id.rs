//! The identity of the log that a position belongs to.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// A short fingerprint of a log's identity, by which a token of another log is recognised. It is
/// neither secret nor proof: one of 4 thousand million other logs has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(u32);

impl LogId {
    /// The id of no log: that of a token merged from tokens of several logs.
    pub const NONE: Self = Self(0);

    /// The fingerprint of a store's identity.
    #[must_use]
    pub fn of(identity: &[u8]) -> Self {
        Self::new(xxh3_64(identity) as u32)
    }

    /// The fingerprint with this number; 0, which is reserved for [`LogId::NONE`], means 1.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        if number == 0 { Self(1) } else { Self(number) }
    }

    pub(super) const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    pub(super) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
