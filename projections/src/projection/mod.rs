//! Views, projections, sinks and handlers: what a [`Worker`](crate::worker::Worker) runs. Nothing here
//! knows the worker.
//!
//! | File | What is in it |
//! |---|---|
//! | `keyed` | keyed views: decode, fold by key, write each row once |
//! | `first_event` | the first event of a query, for types that a definition has gained |
//! | `fold` | the application's code of a keyed view, called with one event |
//! | `rows` | the row cache of a keyed view |
//! | `compare` | rows that are compared with the fold of their events (R6) |
//! | `log_fold` | rows that are folded again from the log, event by event |
//! | `effect` | the common part of projections, sinks and handlers |
//! | `transactional` | projections: writes to tables of the application, in the transaction of the progress |
//! | `sink` | stores that can't share the transaction |
//! | `handler` | side effects |
//! | `apply_error` | errors of applying events; panics of application code |
//! | `parked_keys` | parked keys: list and retry (R4) |
//! | `parking` | the parked keys of a shard (R4) |
//! | `shard_scope` | which keys belong to a shard |
//!
//! The seam to the worker is two private traits: `Job` says which events are needed and how the work can be
//! sharded, `Apply` applies events on one shard.

mod apply_error;
pub(crate) mod compare;
mod effect;
mod first_event;
mod fold;
mod handler;
mod keyed;
mod log_fold;
mod parked_keys;
mod parking;
mod rows;
mod shard_scope;
mod sink;
mod transactional;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use highwater_core::{
    Envelope, Query, Result,
    domain::{KeyedBy, TransactionHook, ViewName, ViewSpec},
    port::{EventStore, ViewStore},
    value::ShardBy,
};

pub(crate) use apply_error::{ApplyError, batch_place, name_event, not_applied};
pub(crate) use compare::{
    Drift, FieldChange, Findings, FoldAfresh, FreshRows, KeysFold, Pace, TypedFreshRows, changes,
    encode_folded, find_drift, position_of, shown,
};
pub use effect::ReceivedEvent;
pub(crate) use effect::{Effect, EffectJob};
pub(crate) use first_event::first_event;
pub use handler::Handler;
pub(crate) use handler::HandlerEffect;
pub(crate) use keyed::KeyedView;
pub(crate) use log_fold::{FoldedRow, LogFold};
pub use parked_keys::ParkedKeys;
pub(crate) use parking::ShardParking;
pub(crate) use rows::{decode, encode};
pub(crate) use shard_scope::{ShardScope, is_key_sharding_known, progress_of, shard_of, stop_of};
pub use sink::Sink;
pub(crate) use sink::SinkEffect;
pub use transactional::Projection;
pub(crate) use transactional::TransactionalEffect;

use crate::{metrics::ProjectionMetrics, options::ProjectionOptions};

/// A view, projection, sink or handler that a worker can run.
pub(crate) trait Job: Send + Sync + 'static {
    fn spec(&self) -> Result<ViewSpec>;
    /// The events that it needs.
    fn query(&self) -> Result<Query>;
    /// The kind of its keys, on which depends how the work can be sharded.
    fn keyed(&self) -> KeyedBy;
    /// The sharding of the work if `shards` are requested.
    fn sharding(&self, shards: u32) -> (ShardBy, u32);
    /// The maximum number of events in one transaction if `requested` is configured.
    fn batch_size(&self, requested: usize) -> usize {
        requested
    }
    /// True if it starts with the events after its first start instead of the whole log.
    fn starts_at_head(&self) -> bool {
        false
    }
    /// Returns what folds rows of the view afresh, to compare the stored ones with; `None` if it has no rows.
    fn fresh_rows(&self) -> Option<FoldAfresh> {
        None
    }
    /// Creates the state that applies events on one shard.
    fn shard(&self, context: &ShardContext) -> Box<dyn Apply>;
}

/// The environment of one shard of a projection.
#[derive(Clone)]
pub(crate) struct ShardContext {
    pub(crate) view: ViewName,
    pub(crate) log: Arc<dyn EventStore>,
    pub(crate) views: Arc<dyn ViewStore>,
    pub(crate) scope: ShardScope,
    pub(crate) options: ProjectionOptions,
    pub(crate) metrics: ProjectionMetrics,
}

/// Applies events on one shard.
#[async_trait]
pub(crate) trait Apply: Send {
    /// Applies events, except those that are held back by parked keys. A panic of application code is an
    /// error of its event.
    async fn apply(
        &mut self,
        events: &[Envelope],
        parking: &mut ShardParking,
    ) -> Result<ShardChanges, ApplyError>;

    /// Applies events that are queued behind a parked key, on this key alone.
    async fn drain(&mut self, key: &str, events: &[Envelope]) -> Result<ShardChanges, ApplyError>;

    /// Notes that the last changes have been committed.
    fn on_committed(&mut self);

    /// Forgets the rows of these keys: they are written by a repair.
    fn forget(&mut self, _keys: &[(String, Option<Bytes>)]) {}

    /// Returns the keys of an event, as far as they can be known.
    fn keys(&self, event: &Envelope) -> Vec<String>;

    /// True if a retry gives the same result.
    fn is_pure(&self) -> bool;
}

/// The changes that are committed together with the progress.
#[derive(Default)]
pub(crate) struct ShardChanges {
    /// True if [`Apply`] is notified when they have been committed.
    pub(crate) notify: bool,
    pub(crate) rows: Vec<(String, Option<Bytes>)>,
    pub(crate) hook: Option<Arc<dyn TransactionHook>>,
}
