//! Sources of workers that can't stop, can't start, or fail once.

use async_trait::async_trait;
use highwater::{
    Result,
    direct::DirectSource,
    error::{Source, Unavailable},
    port::{Assignment, Feed, FeedPage, FeedSource, Membership, Progress, Subscription},
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

/// A source whose feeds fail once, and then wait for events.
pub(crate) struct FailsOnce(pub(crate) DirectSource);

struct WithFailure(Box<dyn Membership>);

struct FailingFeed {
    feed: Box<dyn Feed>,
    has_failed: bool,
}

#[async_trait]
impl FeedSource for FailsOnce {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        self.0.sharding(by, shards).await
    }

    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Membership>> {
        Ok(Box::new(WithFailure(self.0.join(subscription).await?)))
    }
}

#[async_trait]
impl Membership for WithFailure {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        self.0.next_assignment().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let feed = self.0.open(shard, from).await?;
        Ok(Box::new(FailingFeed { feed, has_failed: false }))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.0.released(shard).await
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.0.leave().await
    }
}

#[async_trait]
impl Feed for FailingFeed {
    async fn next(&mut self, limit: usize) -> Result<FeedPage> {
        if !std::mem::replace(&mut self.has_failed, true) {
            return Err(Unavailable::unreachable("reading", Source::new("a hiccup")).into());
        }
        self.feed.next(limit).await
    }
}
