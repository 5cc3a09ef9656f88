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

/// The parts of a request other than the command.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestOptions {
    /// `None` if the caller sets none: the caller can't retry the command, so an id is created for
    /// it.
    pub(crate) id: Option<CommandId>,
    pub(crate) expected: Option<Version>,
    pub(crate) metadata: Metadata,
    pub(crate) hook: Option<Arc<dyn TransactionHook>>,
}

impl<C> Request<C> {
    /// Creates a request for a command, without an id.
    pub fn new(command: C) -> Self {
        Self { command, options: RequestOptions::default() }
    }

    /// The command.
    #[must_use]
    pub const fn command(&self) -> &C {
        &self.command
    }

    /// Sets the id of the command, so that it can be sent again safely (W4).
    #[must_use]
    pub fn id(mut self, id: CommandId) -> Self {
        self.options.id = Some(id);
        self
    }

    /// Requires the stream to be at this version, for example the one that the user was looking at.
    /// At another version the command meets a conflict.
    #[must_use]
    pub fn expecting(mut self, version: Version) -> Self {
        self.options.expected = Some(version);
        self
    }

    /// Sets the actor on whose behalf the command is sent.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.options.metadata.actor = Some(actor.into());
        self
    }

    /// Sets the trace context.
    #[must_use]
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.options.metadata.trace = Some(trace);
        self
    }

    /// Sets the correlation.
    #[must_use]
    pub fn correlation(mut self, correlation: CorrelationId) -> Self {
        self.options.metadata.correlation = Some(correlation);
        self
    }

    /// Sets the causation to `event`, and the correlation to that of the event.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) if the event's metadata can't be decoded.
    pub fn caused_by(mut self, event: &Envelope) -> crate::Result<Self> {
        self.options.metadata.causation = Some(event.id);
        self.options.metadata.correlation = Some(event.correlation()?);
        Ok(self)
    }

    /// Adds a further value that is stored with the events.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.metadata.extra.insert(name.into(), value.into());
        self
    }

    /// Adds a hook of the application in the transaction of the append, created by the store's
    /// adapter.
    #[must_use]
    pub fn in_transaction(mut self, hook: impl TransactionHook) -> Self {
        self.options.hook = Some(Arc::new(hook));
        self
    }
}

impl<C: Command> From<C> for Request<C> {
    fn from(command: C) -> Self {
        Self::new(command)
    }
}
