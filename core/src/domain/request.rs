//! Requests: commands with their ids and metadata.

use std::sync::Arc;

use super::{Command, Envelope, Metadata, TraceContext, TransactionHook};
use crate::value::{CommandId, CorrelationId, Version};

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
