//! The direct feed: views follow the store itself, without a broker.
//!
//! | File | What is in it |
//! |---|---|
//! | `feed` | the events of one shard, from the log |
//! | `leases` | the shards of a worker, assigned by leases in the view store |
//! | `balance` | the assignments that balance the shards: pure |

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

/// Feeds from the log of a store. Workers share the shards by leases in the view store; when one dies,
/// others take over after [`lease`](DirectSource::lease).
#[derive(Clone)]
pub struct DirectSource {
    log: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    has_separate_views: bool,
}

/// The default lease of a shard, fed by the log or by Kafka; a relay has its own.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

impl DirectSource {
    /// Creates a source that feeds from this log, for views in its view store.
    #[must_use]
    pub fn new(highwater: &Highwater) -> Self {
        Self {
            log: Arc::clone(highwater.log()),
            views: Arc::clone(highwater.views()),
            clock: Arc::clone(highwater.clock()),
            lease: LEASE,
            has_separate_views: !highwater.has_views_with_the_log(),
        }
    }

    /// Sets the time without a heartbeat after which other workers take a worker's shards; 5 seconds
    /// unless set. A worker sends a heartbeat every fifth of it.
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

    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Membership>> {
        let leases = Leases::new(&self.views, &self.clock, &subscription, self.lease);
        Ok(Box::new(DirectMembership { source: self.clone(), subscription, leases }))
    }
}

struct DirectMembership {
    source: DirectSource,
    subscription: Subscription,
    leases: Leases,
}

#[async_trait]
impl Membership for DirectMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        self.leases.next_assignment().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let DirectSource { log, clock, has_separate_views, .. } = &self.source;
        let feed = LogFeed::new(log, &self.subscription, shard, from.position);
        let feed = feed.coalesce_empty_pages(clock);
        Ok(Box::new(match has_separate_views {
            true => feed.report_when_idle().check_end_for(&self.subscription.view),
            false => feed,
        }))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.leases.released(shard);
        Ok(())
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.leases.leave().await
    }
}
