//! The front door.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{
    atomic::Atomic,
    engine::{Engine, ViewsAt},
    handle::AggregateHandle,
    over::BoundaryHandle,
    policy::ConflictPolicy,
    receipt::Receipt,
    slot::Slots,
};
use crate::{
    Result,
    domain::{Aggregate, Boundary, Invariant, Query, Request, Targeted},
    follow::UnknownEvents,
    follow::{Follower, Violation, audit},
    metrics::Meter,
    port::{Clock, EventStore, Ids, SnapshotStore, Store, ViewStore},
    value::Position,
};

/// A log, and all that works on it. Cheap to clone: every clone is the same.
///
/// `Highwater::open("sqlite:bank.db")` comes from the stores, `view::<V>()` from the projections;
/// both are in the facade's prelude.
#[derive(Clone)]
pub struct Highwater {
    engine: Arc<Engine>,
}

impl Highwater {
    /// Begins with a store, a clock and a source of ids.
    pub fn with_store(store: &Arc<impl Store>, clock: impl Clock, ids: impl Ids) -> Builder {
        Builder {
            engine: Engine {
                log: Arc::clone(store) as _,
                snapshots: Arc::clone(store) as _,
                views: Arc::clone(store) as _,
                views_at: ViewsAt::TheLog,
                clock: Arc::new(clock),
                ids: Arc::new(ids),
                slots: Slots::new(DEFAULT_CACHE),
                unknown: UnknownEvents::default(),
                policy: ConflictPolicy::default(),
                read_side: OnceLock::new(),
                meter: Meter::default(),
            },
        }
    }

    /// The aggregate with this key.
    pub fn aggregate<A>(&self, key: impl fmt::Display) -> AggregateHandle<A>
    where
        A: Aggregate,
        A::Services: Default,
    {
        self.aggregate_with(key, Arc::default())
    }

    /// The aggregate with this key, whose decisions use these services.
    pub fn aggregate_with<A: Aggregate>(
        &self,
        key: impl fmt::Display,
        services: Arc<A::Services>,
    ) -> AggregateHandle<A> {
        AggregateHandle::new(&self.engine, key, services)
    }

    /// Executes a command that knows its aggregate.
    ///
    /// # Errors
    /// As [`AggregateHandle::execute`].
    pub async fn execute<C>(&self, request: impl Into<Request<C>>) -> Result<Receipt>
    where
        C: Targeted,
        <C::Aggregate as crate::Decider>::Services: Default,
    {
        let request = request.into();
        self.aggregate::<C::Aggregate>(request.command.target()).execute(request).await
    }

    /// Begins a command over several aggregates, all or nothing.
    #[must_use]
    pub fn atomically(&self) -> Atomic {
        Atomic::new(&self.engine)
    }

    /// Begins a decision over a query.
    pub fn boundary<B>(&self, boundary: B) -> BoundaryHandle<B>
    where
        B: Boundary,
        B::Services: Default,
    {
        self.boundary_with(boundary, Arc::default())
    }

    /// Begins a decision over a query that uses these services.
    pub fn boundary_with<B: Boundary>(
        &self,
        boundary: B,
        services: Arc<B::Services>,
    ) -> BoundaryHandle<B> {
        BoundaryHandle::new(&self.engine, boundary, services)
    }

    /// Which streams break these invariants, and from which version on. The invariants may be new
    /// ones: that is how to find out what declaring them would mean for what is recorded.
    ///
    /// It reads the whole category and keeps a state for each of its streams in memory.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), or [`Corrupt`](crate::Error::Corrupt) if an
    /// event can't be decoded.
    pub async fn audit<A: Aggregate>(&self, invariants: &[Invariant<A>]) -> Result<Vec<Violation>> {
        audit(&*self.engine.log, invariants, self.engine.unknown).await
    }

    /// Follows the events that match, from after a position on.
    #[must_use]
    pub fn follow(&self, query: Query, after: Position) -> Follower {
        Follower::new(Arc::clone(&self.engine.log), query, after)
    }

    /// The event store underneath.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn EventStore> {
        &self.engine.log
    }

    /// The snapshot store underneath.
    #[must_use]
    pub fn snapshots(&self) -> &Arc<dyn SnapshotStore> {
        &self.engine.snapshots
    }

    /// The view store underneath.
    #[must_use]
    pub fn views(&self) -> &Arc<dyn ViewStore> {
        &self.engine.views
    }

    /// Whether the views are in the store of the log. Then one statement tells how far both are.
    #[must_use]
    pub fn has_views_with_the_log(&self) -> bool {
        self.engine.views_at == ViewsAt::TheLog
    }

    /// Returns the state of the read side, which all clones share. The first call creates it; every call must ask for
    /// the same type.
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

/// How many states are cached unless the builder says otherwise.
const DEFAULT_CACHE: usize = 10_000;

/// Everything about a [`Highwater`] that has a default.
pub struct Builder {
    engine: Engine,
}

impl Builder {
    /// How many aggregates' states are kept in memory, of all types together. States that turned out
    /// to be behind are kept apart until they are read on from, at most as many again.
    #[must_use]
    pub fn cached_states(mut self, capacity: usize) -> Self {
        self.engine.slots = Slots::new(capacity);
        self
    }

    /// What happens after a conflict.
    #[must_use]
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.engine.policy = policy;
        self
    }

    /// What happens with events of unknown types when a state is folded.
    #[must_use]
    pub fn unknown_events(mut self, policy: UnknownEvents) -> Self {
        self.engine.unknown = policy;
        self
    }

    /// Views that live elsewhere than the log.
    #[must_use]
    pub fn views(mut self, views: Arc<dyn ViewStore>) -> Self {
        self.engine.views = views;
        self.engine.views_at = ViewsAt::Elsewhere;
        self
    }

    /// Another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.engine.clock = Arc::new(clock);
        self
    }

    /// Another source of ids.
    #[must_use]
    pub fn ids(mut self, ids: impl Ids) -> Self {
        self.engine.ids = Arc::new(ids);
        self
    }

    /// Done.
    #[must_use]
    pub fn build(self) -> Highwater {
        Highwater { engine: Arc::new(self.engine) }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
