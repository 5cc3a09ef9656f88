//! Several aggregates in one command, all or nothing.

use std::{fmt, sync::Arc};

use super::{
    aggregate_command::AggregateCommand, engine::Engine, participant::Participant,
    policy::ConflictPolicy, receipt::Receipt, run::run,
};
use crate::{
    Result,
    domain::{Aggregate, DecidedBy, Request},
    error::Invalid,
    value::{Malformed, StreamId},
};

/// A command that consists of several, each decided by its own aggregate, stored in one append
/// (W2).
///
/// If one is rejected or meets a conflict, none takes effect. Commands on the same stream see the
/// changes of those before them.
#[must_use = "a command does nothing until it is executed"]
pub struct Atomic {
    engine: Arc<Engine>,
    participants: Vec<Box<dyn Participant>>,
    policy: ConflictPolicy,
    malformed: Option<Malformed>,
}

impl Atomic {
    pub(super) fn new(engine: &Arc<Engine>) -> Self {
        Self {
            engine: Arc::clone(engine),
            participants: Vec::new(),
            policy: engine.policy,
            malformed: None,
        }
    }

    /// Adds a command on the aggregate with this key.
    pub fn on<A, C>(self, key: impl fmt::Display, command: C) -> Self
    where
        A: Aggregate,
        A::Services: Default,
        C: DecidedBy<A>,
    {
        self.on_with::<A, C>(key, command, Arc::default())
    }

    /// Adds a command on the aggregate with this key, decided with these services.
    pub fn on_with<A, C>(
        mut self,
        key: impl fmt::Display,
        command: C,
        services: Arc<A::Services>,
    ) -> Self
    where
        A: Aggregate,
        C: DecidedBy<A>,
    {
        match StreamId::new(A::CATEGORY, key) {
            Ok(stream) => {
                let command = AggregateCommand::<A, C>::new(stream, command, services, None);
                self.participants.push(Box::new(command));
            }
            Err(error) => self.malformed = self.malformed.or(Some(error)),
        }
        self
    }

    /// Sets the reaction to a conflict, instead of the default.
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Executes all commands, under a new command id.
    ///
    /// # Errors
    /// As [`AggregateHandle::execute`](super::AggregateHandle::execute); a rejection is that of the
    /// first command that was refused.
    pub async fn execute(self) -> Result<Receipt> {
        self.execute_as(Request::new(())).await
    }

    /// Executes all commands with the id and the metadata of this request.
    ///
    /// # Errors
    /// As [`Atomic::execute`]; [`Invalid`](crate::Error::Invalid) if there is no command, two
    /// aggregates share a stream, or the request expects a version.
    pub async fn execute_as(mut self, request: Request<()>) -> Result<Receipt> {
        if let Some(error) = self.malformed {
            return Err(error.into());
        }
        if self.participants.is_empty() || request.options.expected.is_some() {
            let message = "an atomic command has one or more members, and expects no one version";
            return Err(Invalid::request(message).into());
        }
        run(&self.engine, &mut self.participants, request.options, self.policy).await
    }
}

impl fmt::Debug for Atomic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Atomic").field("commands", &self.participants.len()).finish_non_exhaustive()
    }
}
