//! Several aggregates in one command, all or nothing.

use std::{fmt, sync::Arc};

use super::{
    engine::Engine,
    member::{Member, On},
    policy::ConflictPolicy,
    receipt::Receipt,
};
use crate::{
    Error, Result,
    domain::{Aggregate, DecidedBy, Request},
    error::Invalid,
    value::StreamId,
};

/// One command made of several, each decided by its own aggregate, stored in one append (W2).
///
/// If one is rejected or finds a conflict, none takes effect. Commands on the same stream see what
/// those before them have changed.
pub struct Atomic {
    engine: Arc<Engine>,
    members: Vec<Box<dyn Member>>,
    policy: ConflictPolicy,
    malformed: Option<Error>,
}

impl Atomic {
    pub(super) fn new(engine: &Arc<Engine>) -> Self {
        let (engine, policy) = (Arc::clone(engine), engine.policy);
        Self { engine, members: Vec::new(), policy, malformed: None }
    }

    /// Adds a command on the aggregate with this key.
    #[must_use]
    pub fn on<A, C>(self, key: impl fmt::Display, command: C) -> Self
    where
        A: Aggregate,
        A::Services: Default,
        C: DecidedBy<A>,
    {
        self.on_with::<A, C>(key, command, Arc::default())
    }

    /// Adds a command on the aggregate with this key, decided with these services.
    #[must_use]
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
                let member = On::<A, C>::new(stream, command, services, None);
                self.members.push(Box::new(member));
            }
            Err(error) => self.malformed = self.malformed.or(Some(error)),
        }
        self
    }

    /// What to do after a conflict, instead of the default.
    #[must_use]
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Executes them all, under an id made for them.
    ///
    /// # Errors
    /// As [`AggregateHandle::execute`](super::AggregateHandle::execute); a rejection is that of the
    /// first command that was refused.
    pub async fn execute(self) -> Result<Receipt> {
        self.execute_as(Request::new(())).await
    }

    /// Executes them all with the id and the circumstances of this request.
    ///
    /// # Errors
    /// As [`Atomic::execute`]; [`Invalid`](crate::Error::Invalid) if there is no command, two
    /// aggregates share a stream, or the request expects a version.
    pub async fn execute_as(self, request: Request<()>) -> Result<Receipt> {
        if let Some(error) = self.malformed {
            return Err(error);
        }
        if self.members.is_empty() || request.options.expected.is_some() {
            let message = "an atomic command has one or more members, and expects no one version";
            return Err(Invalid::request(message).into());
        }
        self.engine.execute(&self.members, request.options, self.policy).await
    }
}

impl fmt::Debug for Atomic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Atomic").field("members", &self.members.len()).finish_non_exhaustive()
    }
}
