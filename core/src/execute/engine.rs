//! The ports, caches and defaults for executing commands.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use super::{policy::ConflictPolicy, state_cache::StateCache, tag_coverage::TagCoverage};
use crate::{
    follow::UnknownEvents,
    metrics::CommandMeter,
    port::{Clock, EventStore, Ids, SnapshotStore, ViewStore},
};

/// The ports, caches and defaults for executing commands.
pub(super) struct Engine {
    pub(super) log: Arc<dyn EventStore>,
    pub(super) snapshots: Arc<dyn SnapshotStore>,
    pub(super) views: Arc<dyn ViewStore>,
    pub(super) view_location: ViewLocation,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) states: StateCache,
    pub(super) coverage: TagCoverage,
    pub(super) unknown_events: UnknownEvents,
    pub(super) policy: ConflictPolicy,
    /// The state of the read side. Its type is not known in this crate.
    pub(super) read_side: OnceLock<Arc<dyn Any + Send + Sync>>,
    pub(super) meter: CommandMeter,
}

/// The place where views are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ViewLocation {
    /// The store of the log: one statement reads both as of the same moment.
    WithLog,
    /// A store separate from the log.
    Separate,
}
