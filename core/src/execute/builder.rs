//! The ports and defaults of a [`Highwater`].

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{
    engine::{Engine, ViewLocation},
    highwater::Highwater,
    policy::ConflictPolicy,
    state_cache::StateCache,
    tag_coverage::TagCoverage,
};
use crate::{
    follow::UnknownEvents,
    metrics::CommandMeter,
    port::{Clock, Ids, Store, ViewStore},
};

/// The number of cached states unless the builder sets another.
const DEFAULT_CACHED_STATES: usize = 10_000;

/// Everything about a [`Highwater`] that has a default.
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    engine: Engine,
}

impl Highwater {
    /// Starts with a store, a clock and a source of ids.
    pub fn with_store(store: &Arc<impl Store>, clock: impl Clock, ids: impl Ids) -> Builder {
        Builder {
            engine: Engine {
                log: Arc::clone(store) as _,
                snapshots: Arc::clone(store) as _,
                views: Arc::clone(store) as _,
                view_location: ViewLocation::WithLog,
                clock: Arc::new(clock),
                ids: Arc::new(ids),
                states: StateCache::new(DEFAULT_CACHED_STATES),
                coverage: TagCoverage::default(),
                unknown_events: UnknownEvents::default(),
                policy: ConflictPolicy::default(),
                read_side: OnceLock::new(),
                meter: CommandMeter::default(),
            },
        }
    }
}

impl Builder {
    /// Sets the number of aggregate states that are kept in memory, of all types together. Besides
    /// them, the last committed states of discarded ones are kept until the next load reads on from
    /// them, at most as many again.
    pub fn cached_states(mut self, capacity: usize) -> Self {
        self.engine.states = StateCache::new(capacity);
        self
    }

    /// Sets the reaction to a conflict.
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.engine.policy = policy;
        self
    }

    /// Sets the treatment of events of unknown types when a state is folded.
    pub fn unknown_events(mut self, policy: UnknownEvents) -> Self {
        self.engine.unknown_events = policy;
        self
    }

    /// Keeps views in a store other than that of the log.
    pub fn views(mut self, views: Arc<dyn ViewStore>) -> Self {
        self.engine.views = views;
        self.engine.view_location = ViewLocation::Separate;
        self
    }

    /// Sets another clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.engine.clock = Arc::new(clock);
        self
    }

    /// Sets another source of ids.
    pub fn ids(mut self, ids: impl Ids) -> Self {
        self.engine.ids = Arc::new(ids);
        self
    }

    /// Builds the [`Highwater`].
    #[must_use]
    pub fn build(self) -> Highwater {
        Highwater::new(self.engine)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
