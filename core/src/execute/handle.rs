//! One aggregate, as a caller sees it.

use std::{fmt, sync::Arc};

use super::{
    engine::Engine,
    load::{AsOf, Loaded, load},
    member::On,
    policy::{ConflictPolicy, Resolver, SharedResolver},
    receipt::Receipt,
};
use crate::{
    Result,
    domain::{Aggregate, DecidedBy, Request},
    value::StreamId,
};

/// One aggregate: the stream of its key, and what decisions on it need.
///
/// Cheap to make; the state is loaded when a command is executed, and cached.
pub struct AggregateHandle<A: Aggregate> {
    engine: Arc<Engine>,
    /// A key that makes no stream id is told when it is used.
    stream: Result<StreamId>,
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
        let stream = StreamId::new(A::CATEGORY, key);
        let (engine, policy) = (Arc::clone(engine), engine.policy);
        Self { engine, stream, services, policy, resolver: None }
    }

    /// What to do after a conflict, instead of the default.
    #[must_use]
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Whom to ask whether concurrent events are compatible with a command that would otherwise end
    /// in a conflict.
    #[must_use]
    pub fn resolving(mut self, resolver: impl Resolver<A>) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Decides on a command in the present state, checks every invariant on the state that the new
    /// events give, and appends them (W1, W4, W5).
    ///
    /// # Errors
    /// [`Rejected`](crate::Error::Rejected) if the domain says no;
    /// [`Conflict`](crate::Error::Conflict) after the policy's retries;
    /// [`Unavailable`](crate::Error::Unavailable) if nothing was stored;
    /// [`UnknownOutcome`](crate::Error::UnknownOutcome) if that isn't known: send it again with the
    /// same id; [`Invalid`](crate::Error::Invalid) and [`Corrupt`](crate::Error::Corrupt).
    pub async fn execute<C>(&self, request: impl Into<Request<C>>) -> Result<Receipt>
    where
        C: DecidedBy<A>,
    {
        let Request { command, options: cause } = request.into();
        let services = Arc::clone(&self.services);
        let member =
            On::<A, C>::new(self.stream.clone()?, command, services, self.resolver.clone());
        self.engine.execute(&[Box::new(member)], cause, self.policy).await
    }

    /// The state from the store: the latest, or as it was then.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), or [`Corrupt`](crate::Error::Corrupt) if an
    /// event can't be decoded.
    pub async fn load(&self, as_of: AsOf) -> Result<Loaded<A>> {
        let (log, snapshots) = (&*self.engine.log, &*self.engine.snapshots);
        let stream = self.stream.clone()?;
        load(log, snapshots, &stream, as_of, self.engine.unknown).await
    }
}

impl<A: Aggregate> fmt::Debug for AggregateHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateHandle").field("stream", &self.stream).finish_non_exhaustive()
    }
}
