//! The handle of one aggregate.

use std::{fmt, sync::Arc};

use super::{
    aggregate_command::AggregateCommand,
    engine::Engine,
    load::load,
    loaded::{AsOf, Loaded},
    policy::{ConflictPolicy, Resolver, SharedResolver},
    receipt::Receipt,
    run::run,
};
use crate::{
    Result,
    domain::{Aggregate, DecidedBy, Request},
    value::{Malformed, StreamId},
};

/// One aggregate: the stream of its key, with the services and the policy of decisions on it.
///
/// Cheap to create; the state is loaded when a command is executed, and cached.
pub struct AggregateHandle<A: Aggregate> {
    engine: Arc<Engine>,
    /// A malformed key is reported when the handle is used.
    stream: Result<StreamId, Malformed>,
    services: Arc<A::Services>,
    policy: ConflictPolicy,
    resolver: Option<SharedResolver<A>>,
}

impl<A: Aggregate> AggregateHandle<A> {
    pub(super) fn new(
        engine: &Arc<Engine>,
        key: impl fmt::Display,
        services: Arc<A::Services>,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            stream: StreamId::new(A::CATEGORY, key),
            services,
            policy: engine.policy,
            resolver: None,
        }
    }

    /// Sets the reaction to a conflict, instead of the default.
    #[must_use]
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the resolver that judges if concurrent events are compatible with a command that would
    /// otherwise end in a conflict.
    #[must_use]
    pub fn resolving(mut self, resolver: impl Resolver<A>) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Decides on a command in the current state, checks every invariant on the state that the new
    /// events lead to, and appends them (W1, W4, W5).
    ///
    /// # Errors
    /// [`Rejected`](crate::Error::Rejected) if the domain refuses the command;
    /// [`Conflict`](crate::Error::Conflict) after the policy's retries;
    /// [`Unavailable`](crate::Error::Unavailable) if nothing was stored;
    /// [`UnknownOutcome`](crate::Error::UnknownOutcome) if that is not known: send the command
    /// again with the same id; [`Invalid`](crate::Error::Invalid),
    /// [`Corrupt`](crate::Error::Corrupt) and [`Panicked`](crate::Error::Panicked).
    pub async fn execute<C>(&self, request: impl Into<Request<C>>) -> Result<Receipt>
    where
        C: DecidedBy<A>,
    {
        let Request { command, options } = request.into();
        let services = Arc::clone(&self.services);
        let resolver = self.resolver.clone();
        let command =
            AggregateCommand::<A, C>::new(self.stream.clone()?, command, services, resolver);
        run(&self.engine, &mut [Box::new(command)], options, self.policy).await
    }

    /// Loads the state from the store: the latest, or an earlier one.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable); [`Corrupt`](crate::Error::Corrupt) if an event
    /// can't be decoded; [`Panicked`](crate::Error::Panicked).
    pub async fn load(&self, as_of: AsOf) -> Result<Loaded<A>> {
        load(&self.engine, &self.stream.clone()?, as_of).await
    }
}

impl<A: Aggregate> fmt::Debug for AggregateHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateHandle").field("stream", &self.stream).finish_non_exhaustive()
    }
}
