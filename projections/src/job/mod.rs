//! What a worker runs: views, projections, sinks and handlers, behind one seam.
//!
//! | File | What is in it |
//! |---|---|
//! | `keyed` | keyed views: decode, fold by key, write each row once |
//! | `rows` | rows in memory between batches |
//! | `effect` | what projections, sinks and handlers have in common |
//! | `projection` | writes of the user's own in the same transaction |
//! | `sink` | stores that can't share the transaction, and side effects |

mod effect;
mod keyed;
mod projection;
mod rows;
mod sink;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use highwater_core::{
    Envelope, Query, Result,
    domain::{KeyedBy, TransactionHook, ViewSpec},
    value::ShardBy,
};

pub use effect::ReceivedEvent;
pub(crate) use effect::{Effect, EffectJob};
pub(crate) use keyed::KeyedView;
pub use projection::Projection;
pub(crate) use projection::Writes;
pub(crate) use rows::decode;
pub use sink::{Handler, Sink};
pub(crate) use sink::{Handles, Puts};

use crate::runtime::{Parking, ShardContext};

/// Something that a worker can run.
pub(crate) trait Job: Send + Sync + 'static {
    fn spec(&self) -> Result<ViewSpec>;
    /// Which events it is for.
    fn query(&self) -> Result<Query>;
    /// What its keys are, on which depends how it may be divided.
    fn keyed(&self) -> KeyedBy;
    /// By what the work is divided, and into how many shards, if these are wished for.
    fn division(&self, shards: u32) -> (ShardBy, u32);
    /// How many events go in one transaction at the most, if so many are wished for.
    fn batch(&self, wished: usize) -> usize {
        wished
    }
    /// Whether it begins with what happens from now on, rather than with the whole log.
    fn begins_at_the_head(&self) -> bool {
        false
    }
    /// What works on one shard.
    fn shard(&self, context: &ShardContext) -> Box<dyn Apply>;
}

/// What the effect of some events is on one shard.
#[async_trait]
pub(crate) trait Apply: Send {
    /// The effect of these events, but of those that are held back by parked keys.
    ///
    /// An error that names a key ([`Corrupt::NotApplied`](highwater_core::error::Corrupt)) is about
    /// that key's effect alone.
    async fn apply(&mut self, events: &[Envelope], parking: &mut Parking) -> Result<Changes>;

    /// The effect of events that waited behind this key, on this key alone.
    async fn drain(&mut self, key: &str, events: &[Envelope]) -> Result<Changes>;

    /// What was given last has been committed.
    fn committed(&mut self);

    /// The keys that an event is for, as far as they can be known.
    fn keys(&self, event: &Envelope) -> Vec<String>;

    /// Whether trying again can give something else.
    fn is_pure(&self) -> bool;
}

/// What is to be committed together with the progress.
#[derive(Default)]
pub(crate) struct Changes {
    /// Whether they are what the shard has given: then it hears when they have been committed.
    pub(crate) applied: bool,
    pub(crate) rows: Vec<(String, Option<Bytes>)>,
    pub(crate) attachment: Option<Arc<dyn TransactionHook>>,
}
