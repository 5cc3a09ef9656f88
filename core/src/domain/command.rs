//! Commands, and the fingerprints that identify them.

use xxhash_rust::xxh3::Xxh3;

/// An intent to change something, usually a struct with `#[derive(Command)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "not a command",
    note = "write `#[derive(Command)]` above the struct"
)]
pub trait Command: Send + Sync + 'static {
    /// The name, for traces and fingerprints.
    const NAME: &'static str;

    /// Writes the command's fields to `out`, the same bytes for the same values and others for others.
    ///
    /// # Errors
    /// If a field can't be represented.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error>;
}

/// A hash by which a repeated command is recognised under its id (W4): XXH3-64 over names, streams
/// and fields, the same in every process and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint with these bits, as it was stored.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits, for storage.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// Builds a [`Fingerprint`] from parts, which are separated unambiguously.
#[derive(Default)]
pub struct Fingerprinter(Xxh3);

impl Fingerprinter {
    /// Adds a part.
    #[must_use]
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// The fingerprint of the parts so far.
    #[must_use]
    pub fn finish(&self) -> Fingerprint {
        Fingerprint(self.0.digest())
    }
}

impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fingerprinter").field(&self.finish()).finish()
    }
}
