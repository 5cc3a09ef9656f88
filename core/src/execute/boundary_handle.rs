//! The handle of a decision over a query (W6).

use std::{fmt, sync::Arc};

use super::{
    boundary_command::{BoundaryCommand, load, stream_of},
    engine::Engine,
    policy::ConflictPolicy,
    receipt::Receipt,
    run::run,
};
use crate::{
    Result,
    domain::{Boundary, DecidedBy, Request},
    error::Invalid,
};

/// A [`Boundary`] with the services and the policy of decisions on it.
pub struct BoundaryHandle<B: Boundary> {
    engine: Arc<Engine>,
    boundary: B,
    services: Arc<B::Services>,
    policy: ConflictPolicy,
}

impl<B: Boundary> BoundaryHandle<B> {
    pub(super) fn new(engine: &Arc<Engine>, boundary: B, services: Arc<B::Services>) -> Self {
        Self { engine: Arc::clone(engine), boundary, services, policy: engine.policy }
    }

    /// Sets the reaction to a conflict, instead of the default.
    #[must_use]
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Folds the boundary from exactly the events that match its query, decides, checks, and
    /// appends if no further matching event was appended in between.
    ///
    /// # Errors
    /// As [`AggregateHandle::execute`](super::AggregateHandle::execute).
    pub async fn execute<C>(&self, request: impl Into<Request<C>>) -> Result<Receipt>
    where
        C: DecidedBy<B>,
    {
        let Request { command, options } = request.into();
        if options.expected.is_some() {
            let message = "a decision over a query expects no version: its condition is the query";
            return Err(Invalid::request(message).into());
        }
        let stream = stream_of(&self.boundary)?;
        let services = Arc::clone(&self.services);
        let command = BoundaryCommand::new(stream, self.boundary.clone(), command, services)?;
        run(&self.engine, &mut [Box::new(command)], options, self.policy).await
    }

    /// Loads the boundary as the log has it now.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable); [`Corrupt`](crate::Error::Corrupt) if an event
    /// can't be decoded; [`Panicked`](crate::Error::Panicked).
    pub async fn load(&self) -> Result<B> {
        load(&self.engine, self.boundary.clone()).await
    }
}

impl<B: Boundary> fmt::Debug for BoundaryHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundaryHandle").finish_non_exhaustive()
    }
}
