//! The direct feed: views follow the store itself, without a broker.
//!
//! | File | What is in it |
//! |---|---|
//! | `feed` | the events of one shard, from the log |
//! | `leases` | which worker works on which shard, agreed on through the view store |
//! | `balance` | who should hold how many: pure |

mod balance;
mod feed;
mod leases;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use highwater_core::{
    Highwater, Result,
    port::{
        Assignment, Clock, EventStore, Feed, FeedSource, Membership, Progress, Subscription,
        ViewStore,
    },
    value::{ShardBy, ShardId, Sharding},
};

pub use feed::LogFeed;
pub use leases::Leases;

/// Feeds from the log of a store. Workers share the shards among themselves by leases in the view
/// store; when one dies, others take over after [`lease`](DirectSource::lease).
#[derive(Clone)]
pub struct DirectSource {
    log: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    views_are_elsewhere: bool,
}

/// How long a worker may give no sign of life unless it is said otherwise.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

impl DirectSource {
    /// Feeds from this log for views in its view store.
    #[must_use]
    pub fn new(highwater: &Highwater) -> Self {
        Self {
            log: Arc::clone(highwater.log()),
            views: Arc::clone(highwater.views()),
            clock: Arc::clone(highwater.clock()),
            lease: LEASE,
            views_are_elsewhere: !highwater.has_views_with_the_log(),
        }
    }

    /// How long a worker may give no sign of life before others take what it holds; 5 seconds unless
    /// set. It gives one every fifth of that.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }
}

#[async_trait]
impl FeedSource for DirectSource {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        Ok(match by {
            ShardBy::Key => Sharding::by_key(shards),
            ShardBy::Stream => Sharding::by_stream(shards),
        })
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    async fn join(&self, feeding: Subscription) -> Result<Box<dyn Membership>> {
        let leases = Leases::new(&self.views, &self.clock, &feeding, self.lease);
        let (log, clock) = (Arc::clone(&self.log), Arc::clone(&self.clock));
        let views_are_elsewhere = self.views_are_elsewhere;
        Ok(Box::new(Direct { log, clock, feeding, leases, views_are_elsewhere }))
    }
}

struct Direct {
    log: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    feeding: Subscription,
    leases: Leases,
    views_are_elsewhere: bool,
}

#[async_trait]
impl Membership for Direct {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        self.leases.change().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let feed = LogFeed::new(&self.log, &self.feeding, shard, from.position);
        let feed = feed.lingering(&self.clock);
        Ok(Box::new(if self.views_are_elsewhere { feed.saying_when_idle() } else { feed }))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.leases.ended(shard);
        Ok(())
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.leases.leave().await
    }
}
