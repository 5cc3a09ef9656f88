//! Sources of workers that can't stop, or can't start.

use async_trait::async_trait;
use highwater::{
    Result,
    direct::DirectSource,
    port::{Assignment, Feed, FeedSource, Membership, Progress, Subscription},
    value::{ShardBy, ShardId, Sharding},
};

/// A source that delivers events, and never releases its shards.
pub(crate) struct Stuck(pub(crate) DirectSource);

/// A source that never returns the sharding.
pub(crate) struct SilentSource;

#[async_trait]
impl FeedSource for SilentSource {
    async fn sharding(&self, _: ShardBy, _: u32) -> Result<Sharding> {
        std::future::pending().await
    }

    async fn join(&self, _: Subscription) -> Result<Box<dyn Membership>> {
        std::future::pending().await
    }
}

struct Forever(Box<dyn Membership>);

#[async_trait]
impl FeedSource for Stuck {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        self.0.sharding(by, shards).await
    }

    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Membership>> {
        Ok(Box::new(Forever(self.0.join(subscription).await?)))
    }
}

#[async_trait]
impl Membership for Forever {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        self.0.next_assignment().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        self.0.open(shard, from).await
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.0.released(shard).await
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        std::future::pending().await
    }
}
