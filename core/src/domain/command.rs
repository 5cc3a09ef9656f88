//! Commands, and the requests that carry them.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::{Aggregate, Decide, Metadata, TraceContext};
use crate::{
    domain::{Envelope, TransactionHook},
    value::{CommandId, CorrelationId, Version},
};

/// An intent to change something, usually a struct with `#[derive(Command)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "not a command",
    note = "write `#[derive(Command)]` above the struct"
)]
pub trait Command: Send + Sync + 'static {
    /// The name, for traces and fingerprints.
    const NAME: &'static str;

    /// Writes the command's fields to `out`, the same bytes for the same values.
    ///
    /// # Errors
    /// If a field can't be represented.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error>;
}

/// A command that knows which aggregate it is for: `#[command(aggregate = Account, target = account)]`.
pub trait Targeted: Command + Sized {
    /// The aggregate that decides.
    type Aggregate: Aggregate + Decide<Self>;

    /// The key of the stream.
    fn target(&self) -> String;
}

/// A hash by which a command that comes again under its id is recognised (W4): XXH3-64 over names,
/// streams and fields, the same in every process and version.
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

/// Builds a [`Fingerprint`] from parts that can't run into each other.
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

/// A command with its id and its circumstances. Every function that takes a request also takes the
/// bare command.
#[derive(Debug, Clone)]
pub struct Request<C> {
    pub(crate) command: C,
    pub(crate) options: RequestOptions,
}

/// All of a request but the command.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestOptions {
    /// None: nobody can retry it, so an id is made for it.
    pub(crate) id: Option<CommandId>,
    pub(crate) expected: Option<Version>,
    pub(crate) metadata: Metadata,
    pub(crate) hook: Option<Arc<dyn TransactionHook>>,
}

impl<C> Request<C> {
    /// A request without an id of its own.
    pub fn new(command: C) -> Self {
        Self { command, options: RequestOptions::default() }
    }

    /// The command.
    #[must_use]
    pub const fn command(&self) -> &C {
        &self.command
    }

    /// Gives it an id, so that it can be sent again safely (W4).
    #[must_use]
    pub fn id(mut self, id: CommandId) -> Self {
        self.options.id = Some(id);
        self
    }

    /// Refuses with a conflict unless the stream is at this version, say the one that the user was
    /// looking at.
    #[must_use]
    pub fn expecting(mut self, version: Version) -> Self {
        self.options.expected = Some(version);
        self
    }

    /// On whose behalf.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.options.metadata.actor = Some(actor.into());
        self
    }

    /// In which trace.
    #[must_use]
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.options.metadata.trace = Some(trace);
        self
    }

    /// To what it belongs.
    #[must_use]
    pub fn correlation(mut self, correlation: CorrelationId) -> Self {
        self.options.metadata.correlation = Some(correlation);
        self
    }

    /// That `event` caused it: sets causation, and correlation to that of the event.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) if the event's metadata can't be decoded.
    pub fn caused_by(mut self, event: &Envelope) -> crate::Result<Self> {
        self.options.metadata.causation = Some(event.id);
        self.options.metadata.correlation = Some(event.correlation()?);
        Ok(self)
    }

    /// Anything else that should be stored with the events.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.metadata.extra.insert(name.into(), value.into());
        self
    }

    /// Work of the application's own in the transaction of the append, made by the store's adapter.
    #[must_use]
    pub fn in_transaction(mut self, work: impl TransactionHook) -> Self {
        self.options.hook = Some(Arc::new(work));
        self
    }
}

impl<C: Command> From<C> for Request<C> {
    fn from(command: C) -> Self {
        Self::new(command)
    }
}
