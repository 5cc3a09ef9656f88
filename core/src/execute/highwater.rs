//! The entry point.

use std::{fmt, sync::Arc};

use super::{
    atomic::Atomic,
    boundary_handle::BoundaryHandle,
    engine::{Engine, ViewLocation},
    handle::AggregateHandle,
    receipt::Receipt,
    retag::Retag,
};
use crate::{
    Result,
    domain::{Aggregate, Boundary, Decider, Event, Invariant, Query, Request, Targeted},
    error::Panicked,
    follow::{Follower, Violation, audit},
    port::{Clock, EventStore, Ids, SnapshotStore, ViewStore},
    value::Position,
};

/// An open log: executes commands on it, follows it, and gives access to its stores. Cheap to clone;
/// all clones share one cache.
///
/// `Highwater::open("sqlite:bank.db")` comes from the stores, `view::<V>()` from the projections;
/// both are in the facade's prelude.
#[derive(Clone)]
pub struct Highwater {
    engine: Arc<Engine>,
}

impl Highwater {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine: Arc::new(engine) }
    }

    /// Returns the handle of the aggregate with this key.
    pub fn aggregate<A>(&self, key: impl fmt::Display) -> AggregateHandle<A>
    where
        A: Aggregate,
        A::Services: Default,
    {
        self.aggregate_with(key, Arc::default())
    }

    /// Returns the handle of the aggregate with this key, whose decisions use these services.
    pub fn aggregate_with<A: Aggregate>(
        &self,
        key: impl fmt::Display,
        services: Arc<A::Services>,
    ) -> AggregateHandle<A> {
        AggregateHandle::new(&self.engine, key, services)
    }

    /// Executes a command that names its aggregate.
    ///
    /// # Errors
    /// As [`AggregateHandle::execute`].
    pub async fn execute<C>(&self, request: impl Into<Request<C>>) -> Result<Receipt>
    where
        C: Targeted,
        <C::Aggregate as Decider>::Services: Default,
    {
        let request = request.into();
        let place = || format!("target of command {}", C::NAME);
        let target = Panicked::guard(place, || request.command.target())?;
        self.aggregate::<C::Aggregate>(target).execute(request).await
    }

    /// Starts a command over several aggregates, all or nothing.
    pub fn atomically(&self) -> Atomic {
        Atomic::new(&self.engine)
    }

    /// Returns the handle of a decision over a query.
    pub fn boundary<B>(&self, boundary: B) -> BoundaryHandle<B>
    where
        B: Boundary,
        B::Services: Default,
    {
        self.boundary_with(boundary, Arc::default())
    }

    /// Returns the handle of a decision over a query that uses these services.
    pub fn boundary_with<B: Boundary>(
        &self,
        boundary: B,
        services: Arc<B::Services>,
    ) -> BoundaryHandle<B> {
        BoundaryHandle::new(&self.engine, boundary, services)
    }

    /// Finds the streams that break these invariants, each with the first version that does. The
    /// invariants may be new: the result shows the consequences of declaring them for the recorded
    /// events.
    ///
    /// It reads the whole category and keeps a state for each of its streams in memory.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable); [`Corrupt`](crate::Error::Corrupt) if an event
    /// can't be decoded; [`Panicked`](crate::Error::Panicked).
    pub async fn audit<A: Aggregate>(&self, invariants: &[Invariant<A>]) -> Result<Vec<Violation>> {
        audit(&*self.engine.log, invariants, self.engine.unknown_events).await
    }

    /// Adds to the stored events of a type the tags that this program gives to them: those of a
    /// `#[event(tag)]` that is newer than the events. Without them a boundary that queries such a tag refuses to
    /// decide ([`Corrupt::Untagged`](crate::error::Corrupt::Untagged), W6).
    ///
    /// Run it when no older program appends these events any more: what such a one appends later lacks the tags
    /// again, and is noticed again. It can be repeated; the answer says how many events got tags.
    ///
    /// # Errors
    /// When awaited: [`Unavailable`](crate::Error::Unavailable); [`Corrupt`](crate::Error::Corrupt) if an event
    /// can't be decoded; [`Invalid`](crate::Error::Invalid) if a tag is longer than stores hold;
    /// [`Panicked`](crate::Error::Panicked).
    pub fn retag<E: Event>(&self) -> Retag<E> {
        Retag::new(&self.engine)
    }

    /// Follows the events that match a query, starting after a position.
    #[must_use]
    pub fn follow(&self, query: Query, after: Position) -> Follower {
        Follower::new(Arc::clone(&self.engine.log), query, after)
    }

    /// The event store.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn EventStore> {
        &self.engine.log
    }

    /// The snapshot store.
    #[must_use]
    pub fn snapshots(&self) -> &Arc<dyn SnapshotStore> {
        &self.engine.snapshots
    }

    /// The view store.
    #[must_use]
    pub fn views(&self) -> &Arc<dyn ViewStore> {
        &self.engine.views
    }

    /// Returns true if the views are in the store of the log. Then one statement reads the progress of
    /// both.
    #[must_use]
    pub fn has_views_with_the_log(&self) -> bool {
        self.engine.view_location == ViewLocation::WithLog
    }

    /// Returns the state of the read side, which all clones share. The first call creates it; every call must
    /// ask for the same type.
    #[doc(hidden)]
    #[must_use]
    pub fn read_side<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let state = self.engine.read_side.get_or_init(|| Arc::<T>::default());
        Arc::clone(state).downcast().unwrap_or_default()
    }

    /// The source of ids.
    #[must_use]
    pub fn ids(&self) -> &Arc<dyn Ids> {
        &self.engine.ids
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.engine.clock
    }
}

impl fmt::Debug for Highwater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Highwater").finish_non_exhaustive()
    }
}
